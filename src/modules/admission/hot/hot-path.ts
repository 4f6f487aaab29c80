import type pg from 'pg';
import type { Clock } from '../../../platform/clock.ts';
import { borrowed } from '../../../platform/database/borrowed.ts';
import type { CommitSignal } from '../../../platform/database/commit-signal.ts';
import { OrgBatcher, type Settled } from '../../../platform/database/org-batcher.ts';
import { flush } from '../../../platform/database/pipeline.ts';
import {
  DECIDED_UNDER_STALE_HEAD,
  isConnectionLoss,
  isTransient,
  sqlState,
  UNIQUE_VIOLATION,
} from '../../../platform/database/sql-state.ts';
import { Problem, unavailable } from '../../../platform/errors.ts';
import type { Logger } from '../../../platform/logger.ts';
import type { DecisionOutcome, Instruments, RetryReason } from '../../../platform/telemetry/index.ts';
import {
  type AcquireOperation,
  type HeldLease,
  type LeaseOperation,
  type LeaseQueue,
  type Searched,
  searchBroadly,
  TooBroad,
  type Wanted,
  type WantedIn,
} from '../../leases/index.ts';
import { type Decided, decideBatch } from './decide-batch.ts';
import { createVersionCaches, loadSnapshot } from './load.ts';
import { LostCommit, outcomeOf } from './lost-commit.ts';
import { OneCall } from './one-call/one-call.ts';
import type { Subject } from './one-call/subject.ts';
import type { AskOperation, HotAnswer, HotOperation } from './operation.ts';
import { Refusals } from './refusals.ts';
import { UnderWay } from './under-way.ts';

export interface HotPathDeps {
  readonly pool: pg.Pool;
  readonly signal: CommitSignal;
  readonly instruments: Instruments;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** What a committed batch did to leases and to those who wait for them, for whoever lives off it. */
export interface LeaseChanges {
  readonly orgId: string;
  readonly granted: readonly HeldLease[];
  readonly ended: readonly HeldLease[];
  /** Whether anybody waits in this org. */
  readonly someWait: boolean;
  /** Tickets that are waited for no more. */
  readonly settled: readonly { readonly ticketId: string; readonly granted: boolean }[];
  /** Leases that somebody watches now; after `freeInMs` they are in nobody's way unless they are renewed. */
  readonly watched: readonly { readonly leaseId: string; readonly freeInMs: number }[];
}

const ATTEMPTS = 12;
/** Searches for one request: what each found may have gone before it was looked at again. */
const SEARCHES = 3;
/** How often a request is tried the short way while others come and go, before it goes the general way after all. */
const LOOKS = 3;

type Broad = Extract<HotOperation, { readonly wanted: unknown }>;

/**
 * Leases, decisions and admissions of an org, one batch in flight on this server: lock, read, decide in memory in order
 * of arrival, write and commit; nobody is answered before the commit. See DESIGN.md, "The hot path".
 */
export class HotPath implements LeaseQueue {
  readonly #deps: HotPathDeps;
  readonly #caches = createVersionCaches();
  readonly #batcher: OrgBatcher<HotOperation, HotAnswer>;
  readonly #oneCall: OneCall;
  /** The short way's batches run beside the general ones, as another server's would. Null: not decided, ask there. */
  readonly #short: OrgBatcher<Subject, HotAnswer | null>;
  readonly #refusals: Refusals;
  readonly #underWay = new UnderWay();
  readonly #listeners: ((changes: LeaseChanges) => void)[] = [];

  constructor(deps: HotPathDeps) {
    this.#deps = deps;
    this.#batcher = new OrgBatcher((orgId, ops) =>
      this.#underWay.while(ops.flatMap(wantedOf), () => this.#settle(orgId, ops)),
    );
    this.#oneCall = new OneCall(deps);
    this.#short = new OrgBatcher((orgId, subjects) => this.#inOneCall(orgId, subjects));
    this.#refusals = new Refusals({ ...deps, caches: this.#caches });
    this.onLeases((changes) => this.#oneCall.leases.apply(changes));
  }

  async submit(operation: LeaseOperation | AskOperation): Promise<HotAnswer> {
    const { orgId } = operation.principal;
    const short = isPlain(operation) ? await this.#plainly(operation) : await this.#shortly(operation);
    if (short !== null) return short;
    try {
      return await this.#batcher.submit(orgId, operation);
    } catch (error) {
      if (!(error instanceof TooBroad) || !('wanted' in operation)) throw error;
      return this.#submitBroad(orgId, operation);
    }
  }

  /** Null for what has to be decided the general way. */
  async #shortly(operation: LeaseOperation | AskOperation): Promise<HotAnswer | null> {
    const subject = this.#oneCall.subject(operation);
    return subject === null ? null : this.#short.submit(operation.principal.orgId, subject);
  }

  /**
   * Stands back while others that want the same are decided, then is granted in one call, or refused by what another holds.
   * @throws Problem 409 `lease_conflict`
   */
  async #plainly(operation: AcquireOperation): Promise<HotAnswer | null> {
    const { repo, runId, wanted } = operation;
    const { leases } = this.#oneCall;
    for (let look = 1; look <= LOOKS; look += 1) {
      await this.#underWay.of({ repoId: repo.id, wanted });
      const short = await this.#shortly(operation);
      if (short !== null) return short;
      if (!leases.holdsAnother(repo.id, wanted, runId)) return null;
      const refusal = await this.#refusals.of(operation);
      if (refusal !== null) {
        this.#deps.instruments.leaseConflicted('exclusive');
        throw refusal;
      }
      // It has come free meanwhile, here or elsewhere.
      leases.forget(repo.id, wanted);
    }
    return null;
  }

  /** What overlaps it is looked up without the lock; under it, what was found and what came since are looked at again. */
  async #submitBroad(orgId: string, operation: Broad): Promise<HotAnswer> {
    const { repo, runId, wanted } = operation;
    if (repo === null || runId === null || wanted === null) throw new Error('too broad, and wants nothing');
    for (let attempt = 1; attempt <= SEARCHES; attempt += 1) {
      const searched = await this.#search(orgId, runId, { repoId: repo.id, matchers: wanted.matchers });
      try {
        return await this.#batcher.submit(orgId, { ...operation, searched });
      } catch (error) {
        if (!(error instanceof TooBroad)) throw error;
      }
    }
    throw unavailable('So much overlaps this that it could not be decided; ask for less at once.');
  }

  async #search(orgId: string, runId: string, wanted: WantedIn): Promise<Searched> {
    return borrowed(this.#deps.pool, (client) => searchBroadly(client, orgId, runId, wanted));
  }

  /** Called after each commit that changed leases or the line, on this server's batches only. */
  onLeases(listener: (changes: LeaseChanges) => void): void {
    this.#listeners.push(listener);
  }

  async #inOneCall(orgId: string, subjects: readonly Subject[]): Promise<Settled<HotAnswer | null>[]> {
    const startedMs = this.#deps.clock.monotonicMs();
    const settled: Settled<HotAnswer | null>[] = subjects.map(() => ({ ok: true, answer: null }));
    // Since it was let in, the general way may have begun to decide about the same.
    const free = subjects.filter((subject) => this.#underWay.of(subject) === null);
    const committed = await this.#underWay.while(free, () => this.#oneCall.attempt(orgId, free));
    if (committed === null) return settled;
    committed.taken.forEach((index, at) => {
      settled[subjects.indexOf(free[index]!)] = committed.results[at]!;
    });
    this.#told(orgId, committed, committed.taken.length, (this.#deps.clock.monotonicMs() - startedMs) / 1000);
    return settled;
  }

  /** Tries a batch until it commits or cannot; one that fails whole is split, so that a poison request fails alone. */
  async #settle(orgId: string, ops: readonly HotOperation[]): Promise<Settled<HotAnswer>[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#attempt(orgId, ops);
      } catch (error) {
        const reason = retryReason(error);
        this.#deps.logger.debug({ err: error, attempt, size: ops.length }, 'hot batch rolled back');
        if (reason !== null && attempt < ATTEMPTS) {
          this.#deps.instruments.transactionRetried(reason);
          continue;
        }
        if (ops.length === 1)
          return [{ ok: false, error: reason === null ? error : unavailable('This org is busy; try again.') }];
        this.#deps.instruments.transactionRetried('split_batch');
        return this.#oneByOne(orgId, ops);
      }
    }
  }

  async #oneByOne(orgId: string, ops: readonly HotOperation[]): Promise<Settled<HotAnswer>[]> {
    const results: Settled<HotAnswer>[] = [];
    for (const op of ops) results.push(...(await this.#settle(orgId, [op])));
    return results;
  }

  async #attempt(orgId: string, ops: readonly HotOperation[]): Promise<Settled<HotAnswer>[]> {
    const startedMs = this.#deps.clock.monotonicMs();
    const client = await this.#deps.pool.connect();
    let broken: Error | undefined;
    try {
      const loaded = await loadSnapshot(client, orgId, ops, this.#caches, { lock: true });
      this.#oneCall.remember(loaded);
      const { snapshot, xid } = loaded;
      const decided = await decideBatch(client, snapshot, ops);
      const firstSeq = await this.#commit(client, decided, xid);
      finish(decided, firstSeq);
      for (const lease of decided.plan.renewed) this.#oneCall.leases.see(orgId, lease);
      this.#told(orgId, decided, ops.length, (this.#deps.clock.monotonicMs() - startedMs) / 1000);
      return decided.results;
    } catch (error) {
      broken = await rollBack(client, error);
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** Returns the seq of the batch's first event; null when nothing was written. */
  async #commit(client: pg.PoolClient, { plan, snapshot }: Decided, xid: string): Promise<number | null> {
    if (plan.isEmpty) {
      await flush(client, [{ text: 'COMMIT' }]);
      return null;
    }
    try {
      const [wrote, committed] = await flush(client, [
        {
          name: 'hot_write',
          text: 'SELECT hot_write($1, $2, $3, $4::jsonb) AS first_seq',
          values: [snapshot.orgId, snapshot.policyVersion, snapshot.haltEpoch, plan.toJson()],
        },
        { text: 'COMMIT' },
      ]);
      // In a pipeline a COMMIT after an error reports no error: only its tag says that it rolled back.
      if (committed!.command !== 'COMMIT') throw new Error(`COMMIT answered ${committed!.command}`);
      const [row] = wrote!.rows as { first_seq: string }[];
      return Number(row!.first_seq);
    } catch (error) {
      if (!isConnectionLoss(error)) throw error;
      // Whether it committed is looked up, not guessed: both guesses are wrong for somebody.
      return outcomeOf(this.#deps, { xid, snapshot, plan });
    }
  }

  #told(orgId: string, decided: Decided, size: number, seconds: number): void {
    const { plan, results } = decided;
    const { instruments, signal } = this.#deps;
    if (!plan.isEmpty) signal.touch(orgId);
    instruments.batchCommitted(size, seconds);
    for (const [mode, count] of counted(plan.granted.map(({ lease }) => lease.mode)))
      instruments.leaseGranted(mode, count);
    const outcomes: DecisionOutcome[] = [];
    for (const result of results) {
      if (!result.ok && result.error instanceof Problem && result.error.code === 'lease_conflict')
        instruments.leaseConflicted('exclusive');
      const outcome = result.ok ? result.answer.body['outcome'] : undefined;
      if (outcome === 'wait') instruments.leaseConflicted('exclusive');
      else if (outcome === 'allow' || outcome === 'deny' || outcome === 'require_approval') outcomes.push(outcome);
    }
    for (const [outcome, count] of counted(outcomes)) instruments.decided(outcome, count);
    const { granted, ended, settled, watched } = plan;
    if (granted.length + ended.length + settled.length + watched.length === 0) return;
    const someWait = decided.snapshot.someWait || plan.hasQueued;
    const changes = { orgId, granted: granted.map(({ lease }) => lease), ended, someWait, settled, watched };
    for (const listener of this.#listeners) listener(changes);
  }
}

/** Who waits, or asks again under a key, may be given something though another holds it now. */
function isPlain(operation: LeaseOperation | AskOperation): operation is AcquireOperation {
  return operation.kind === 'acquire' && !operation.waits && operation.idempotent === null;
}

function wantedOf(op: HotOperation): { repoId: string; wanted: Wanted }[] {
  return 'wanted' in op && op.repo !== null && op.wanted !== null ? [{ repoId: op.repo.id, wanted: op.wanted }] : [];
}

/** Each value with how often it is there: one record a batch instead of one a request. */
function counted<T>(values: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
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
  if (isConnectionLoss(error) || error instanceof LostCommit) return error as Error;
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
  const state = sqlState(error);
  if (state === DECIDED_UNDER_STALE_HEAD) return 'head_moved';
  // Somebody else's row under the same idempotency key or approval digest: the next look finds it.
  if (state === UNIQUE_VIOLATION) return 'serialization';
  if (state === '55P03') return 'lock_timeout';
  if (state === '40P01') return 'deadlock';
  if (isTransient(error)) return 'serialization';
  return error instanceof LostCommit || isConnectionLoss(error) ? 'connection' : null;
}
