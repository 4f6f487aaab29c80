import type pg from 'pg';
import type { Clock } from '../../../platform/clock.ts';
import type { Settled } from '../../../platform/database/org-batcher.ts';
import { flush } from '../../../platform/database/pipeline.ts';
import {
  DECIDED_UNDER_STALE_HEAD,
  isConnectionLoss,
  isTransient,
  sqlState,
  tookTooLong,
  UNIQUE_VIOLATION,
} from '../../../platform/database/sql-state.ts';
import { Problem, unavailable } from '../../../platform/errors.ts';
import type { Logger } from '../../../platform/logger.ts';
import type { Instruments, RetryReason } from '../../../platform/telemetry/index.ts';
import { compileStored, STEPS_AHEAD_MAX, TooBroad, Uncompiled } from '../../leases/index.ts';
import { type Decided, decideBatch } from './decide-batch.ts';
import { type Loaded, loadSnapshot, type VersionCaches } from './load.ts';
import { LostCommit, outcomeOf } from './lost-commit.ts';
import type { HotAnswer, HotOperation } from './operation.ts';
import { TooSoon } from './too-soon.ts';

interface Deps {
  readonly pool: pg.Pool;
  readonly clock: Clock;
  readonly instruments: Instruments;
  readonly logger: Logger;
  readonly caches: VersionCaches;
  /** Hears of what each batch read, whatever becomes of it. */
  readonly onLoaded: (loaded: Loaded) => void;
  /** Hears of each batch that has committed. */
  readonly onDecided: (orgId: string, decided: Decided, size: number, seconds: number) => void;
}

const ATTEMPTS = 12;
/** Of them, those for which held patterns are compiled first: the org's other requests wait meanwhile. */
const COMPILATIONS = 5;
/** Who waits for so long is told to try again: nobody is granted anything after his client has gone. */
const GIVE_UP_MS = 10_000;

/** The connection broke around the COMMIT, by that error. */
class Lost {
  readonly by: unknown;

  constructor(by: unknown) {
    this.by = by;
  }
}

interface Attempted {
  readonly decided: Decided;
  readonly xid: string;
  readonly written: number | null | Lost;
}

/** A batch of an org, whatever is in it: lock, read, decide in memory in order of arrival, write and commit. */
export class GeneralWay {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Tries a batch until it commits or cannot; one that fails whole is split, so that a poison request fails alone. */
  async settle(orgId: string, ops: readonly HotOperation[]): Promise<Settled<HotAnswer>[]> {
    const results = await this.#settle(orgId, ops, this.#deps.clock.monotonicMs() + GIVE_UP_MS);
    const early = [...ops.keys()].filter((at) => cameTooSoon(results[at]!));
    // Fewer each time: the first of a batch never comes too soon.
    const later =
      early.length === 0
        ? []
        : await this.settle(
            orgId,
            early.map((at) => ops[at]!),
          );
    for (const [index, at] of early.entries()) results[at] = later[index]!;
    return results;
  }

  async #settle(orgId: string, ops: readonly HotOperation[], untilMs: number): Promise<Settled<HotAnswer>[]> {
    let [compilations, steps] = [0, 0];
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#attempt(orgId, ops, compilations >= COMPILATIONS || steps > STEPS_AHEAD_MAX);
      } catch (error) {
        if (error instanceof Uncompiled) {
          steps += await compileStored(error.texts, STEPS_AHEAD_MAX);
          compilations += 1;
        }
        // What took too long together is not tried together again.
        const reason = tookTooLong(error) && ops.length > 1 ? null : retryReason(error);
        this.#deps.logger.debug({ err: error, attempt, size: ops.length }, 'hot batch rolled back');
        const isLate = this.#deps.clock.monotonicMs() >= untilMs;
        if (reason !== null && attempt < ATTEMPTS && !isLate) {
          this.#deps.instruments.transactionRetried(reason);
          continue;
        }
        // Where the database cannot be reached, it cannot be for one of them either.
        if (reason !== null && (isLate || reason === 'connection' || ops.length === 1))
          return ops.map(() => ({ ok: false, error: unavailable('This org is busy; try again.') }));
        // Nobody can say whether it was committed: to decide it again, alone or not, might do all of it twice.
        if (ops.length === 1 || error instanceof Problem) return ops.map(() => ({ ok: false, error }));
        this.#deps.instruments.transactionRetried('split_batch');
        return this.#oneByOne(orgId, ops, untilMs);
      }
    }
  }

  async #oneByOne(orgId: string, ops: readonly HotOperation[], untilMs: number): Promise<Settled<HotAnswer>[]> {
    const results: Settled<HotAnswer>[] = [];
    for (const op of ops) results.push(...(await this.#settle(orgId, [op], untilMs)));
    return results;
  }

  async #attempt(orgId: string, ops: readonly HotOperation[], mayCut: boolean): Promise<Settled<HotAnswer>[]> {
    const startedMs = this.#deps.clock.monotonicMs();
    const { decided, written, xid } = await this.#write(orgId, ops, mayCut);
    // Whether it committed is looked up, not guessed: both guesses are wrong for somebody.
    const firstSeq = written instanceof Lost ? await this.#outcomeOf(written, { xid, decided }) : written;
    finish(decided, firstSeq);
    this.#deps.onDecided(orgId, decided, ops.length, (this.#deps.clock.monotonicMs() - startedMs) / 1000);
    return decided.results;
  }

  /** @throws what it was lost by, where it has not taken effect and that was the time it took; else as `outcomeOf` */
  async #outcomeOf({ by }: Lost, { xid, decided }: Pick<Attempted, 'xid' | 'decided'>): Promise<number> {
    try {
      return await outcomeOf(this.#deps, { xid, ...decided });
    } catch (error) {
      throw error instanceof LostCommit && tookTooLong(by) ? by : error;
    }
  }

  /** Gives its connection back before anybody looks what became of a lost one: else all could be kept by who waits for one. */
  async #write(orgId: string, ops: readonly HotOperation[], mayCut: boolean): Promise<Attempted> {
    const client = await this.#deps.pool.connect();
    let broken: Error | undefined;
    try {
      const loaded = await loadSnapshot(client, orgId, ops, this.#deps.caches, { lock: true });
      this.#deps.onLoaded(loaded);
      const { snapshot, xid } = loaded;
      const decided = await decideBatch(client, snapshot, ops, { mayCut });
      try {
        return { decided, xid, written: await commit(client, decided, loaded.factsVersion) };
      } catch (error) {
        if (!isConnectionLoss(error)) throw error;
        broken = error as Error;
        return { decided, xid, written: new Lost(error) };
      }
    } catch (error) {
      broken = await rollBack(client, error);
      throw error;
    } finally {
      client.release(broken);
    }
  }
}

function cameTooSoon(result: Settled<HotAnswer>): boolean {
  return !result.ok && result.error instanceof TooSoon;
}

/** Returns the seq of the batch's first event; null when nothing was written. */
async function commit(
  client: pg.PoolClient,
  { plan, snapshot }: Decided,
  factsVersion: number,
): Promise<number | null> {
  if (plan.isEmpty) {
    await flush(client, [{ text: 'COMMIT' }]);
    return null;
  }
  const [wrote, , committed] = await flush(client, [
    {
      name: 'hot_write',
      text: 'SELECT hot_write($1, $2, $3, $4::jsonb) AS first_seq',
      values: [snapshot.orgId, snapshot.policyVersion, snapshot.haltEpoch, plan.toJson()],
    },
    { name: 'demand_facts', text: 'SELECT demand_facts($1, $2)', values: [snapshot.orgId, factsVersion] },
    { text: 'COMMIT' },
  ]);
  // In a pipeline a COMMIT after an error reports no error: only its tag says that it rolled back.
  if (committed!.command !== 'COMMIT') throw new Error(`COMMIT answered ${committed!.command}`);
  const [row] = wrote!.rows as { first_seq: string }[];
  return Number(row!.first_seq);
}

/** Puts the fences, known only now, into the leases and the answers that show them. */
function finish({ plan, results }: Decided, firstSeq: number | null): void {
  if (firstSeq === null) return;
  const fences = new Map<string, number>();
  for (const { lease, event } of plan.granted) {
    lease.fence = firstSeq + event;
    fences.set(lease.id, lease.fence);
  }
  for (const result of results) {
    if (!result.ok) continue;
    const lease = result.answer.body['lease'] as { id: string; fence: number } | undefined;
    const fence = lease === undefined ? undefined : fences.get(lease.id);
    if (lease !== undefined && fence !== undefined) lease.fence = fence;
  }
}

/** Returns the error with which the connection must be thrown away, or undefined when it is fit for the next batch. */
async function rollBack(client: pg.PoolClient, error: unknown): Promise<Error | undefined> {
  if (isConnectionLoss(error)) return error as Error;
  try {
    await client.query('ROLLBACK');
    return undefined;
  } catch (failure) {
    return failure as Error;
  }
}

/** Why a batch may succeed if it is tried again; null when it will not. */
function retryReason(error: unknown): RetryReason | null {
  if (error instanceof Problem || error instanceof TooBroad) return null;
  if (error instanceof Uncompiled) return 'uncompiled';
  const state = sqlState(error);
  if (state === DECIDED_UNDER_STALE_HEAD) return 'head_moved';
  // Somebody else's row under the same idempotency key or approval digest: the next look finds it.
  if (state === UNIQUE_VIOLATION) return 'serialization';
  if (state === '55P03') return 'lock_timeout';
  if (state === '40P01') return 'deadlock';
  if (isTransient(error)) return 'serialization';
  return error instanceof LostCommit || isConnectionLoss(error) ? 'connection' : null;
}
