import type pg from 'pg';
import type { Clock } from '../../../platform/clock.ts';
import { borrowed } from '../../../platform/database/borrowed.ts';
import type { CommitSignal } from '../../../platform/database/commit-signal.ts';
import { OrgBatcher, type Settled } from '../../../platform/database/org-batcher.ts';
import { Problem, unavailable } from '../../../platform/errors.ts';
import { KeyedLimiter } from '../../../platform/limiter.ts';
import type { Logger } from '../../../platform/logger.ts';
import type { DecisionOutcome, Instruments } from '../../../platform/telemetry/index.ts';
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
import type { Decided } from './decide-batch.ts';
import { GeneralWay } from './general-way.ts';
import { createVersionCaches } from './load.ts';
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

/** Searches for one request: what each found may have gone before it was looked at again. */
const SEARCHES = 3;
/** One org's searches are not to take the connections that others' batches need, nor are all orgs' together. */
const PER_ORG = { concurrency: 1, queue: 256 };
const IN_ALL = { concurrency: 2, queue: 4096 };
/** How often a request is tried the short way while others come and go, before it goes the general way after all. */
const LOOKS = 3;

type Broad = Extract<HotOperation, { readonly wanted: unknown }>;

/**
 * Leases, decisions and admissions: sends each the shortest way that can decide it, and tells of what was decided. Each way
 * has one batch in flight per org on this server; nobody is answered before the commit. See DESIGN.md, "The hot path".
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
  readonly #searches = { ofOrg: new KeyedLimiter(PER_ORG), ofAll: new KeyedLimiter(IN_ALL) };
  readonly #listeners: ((changes: LeaseChanges) => void)[] = [];

  constructor(deps: HotPathDeps) {
    this.#deps = deps;
    this.#oneCall = new OneCall(deps);
    const general = new GeneralWay({
      ...deps,
      caches: this.#caches,
      onLoaded: (loaded) => this.#oneCall.remember(loaded),
      onDecided: (orgId, decided, size, seconds) => {
        for (const lease of decided.plan.renewed) this.#oneCall.leases.see(orgId, lease);
        this.#told(orgId, decided, size, seconds);
      },
    });
    this.#batcher = new OrgBatcher((orgId, ops) =>
      this.#underWay.while(orgId, ops.flatMap(wantedOf), () => general.settle(orgId, ops)),
    );
    this.#short = new OrgBatcher((orgId, subjects) => this.#inOneCall(orgId, subjects));
    this.#refusals = new Refusals({ ...deps, caches: this.#caches, known: this.#oneCall });
    this.onLeases((changes) => this.#oneCall.leases.apply(changes));
  }

  async submit(operation: LeaseOperation | AskOperation): Promise<HotAnswer> {
    try {
      const answer = await this.#settle(operation);
      if (answer.body['outcome'] === 'wait') this.#conflicted(operation);
      return answer;
    } catch (error) {
      if (error instanceof Problem && error.code === 'lease_conflict') this.#conflicted(operation);
      throw error;
    }
  }

  #conflicted(operation: LeaseOperation | AskOperation): void {
    if ('wanted' in operation && operation.wanted !== null)
      this.#deps.instruments.leaseConflicted(operation.wanted.mode);
  }

  async #settle(operation: LeaseOperation | AskOperation): Promise<HotAnswer> {
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
      const underWay = this.#underWay.of(operation.principal.orgId, { repoId: repo.id, wanted });
      if (underWay !== null) await underWay;
      const short = await this.#shortly(operation);
      if (short !== null) return short;
      const held = leases.heldByOthers(repo.id, wanted, runId);
      if (held.size === 0) return null;
      const isKnown = leases.remembers(held);
      const refusal = await this.#refusals.of(operation);
      if (refusal !== null) throw refusal;
      // Perhaps it is the run's own, given so long ago that only its key is left: one call would find it in its way.
      if (!isKnown) return null;
      // It has come free meanwhile, here or elsewhere.
      leases.forget(repo.id, held);
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
    const search = () => borrowed(this.#deps.pool, (client) => searchBroadly(client, orgId, runId, wanted));
    return this.#searches.ofOrg.run(orgId, () => this.#searches.ofAll.run('', search));
  }

  /** Called after each commit that changed leases or the line, on this server's batches only. */
  onLeases(listener: (changes: LeaseChanges) => void): void {
    this.#listeners.push(listener);
  }

  /** While nobody knows what came of a call, what it was about stays under way; the rest of the org does not wait for it. */
  async #inOneCall(
    orgId: string,
    subjects: readonly Subject[],
  ): Promise<Settled<HotAnswer | null | Promise<HotAnswer | null>>[]> {
    return new Promise((resolve, reject) => {
      const settling = this.#inOneCallOrLost(orgId, subjects, () =>
        resolve(subjects.map((_, at) => ({ ok: true, answer: settling.then((settled) => answerOf(settled[at]!)) }))),
      );
      settling.then(resolve, reject);
    });
  }

  async #inOneCallOrLost(
    orgId: string,
    subjects: readonly Subject[],
    onLost: () => void,
  ): Promise<Settled<HotAnswer | null>[]> {
    const startedMs = this.#deps.clock.monotonicMs();
    const settled: Settled<HotAnswer | null>[] = subjects.map(() => ({ ok: true, answer: null }));
    // Since it was let in, the general way may have begun to decide about the same.
    const free = subjects.filter((subject) => this.#underWay.of(orgId, subject) === null);
    const committed = await this.#underWay.while(orgId, free, () => this.#oneCall.attempt(orgId, free, onLost));
    if (committed === null) return settled;
    committed.taken.forEach((index, at) => {
      settled[subjects.indexOf(free[index]!)] = committed.results[at]!;
    });
    this.#told(orgId, committed, committed.taken.length, (this.#deps.clock.monotonicMs() - startedMs) / 1000);
    return settled;
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
      const outcome = result.ok ? result.answer.body['outcome'] : undefined;
      if (outcome === 'allow' || outcome === 'deny' || outcome === 'require_approval') outcomes.push(outcome);
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

function answerOf<A>(settled: Settled<A>): A {
  if (!settled.ok) throw settled.error;
  return settled.answer;
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
