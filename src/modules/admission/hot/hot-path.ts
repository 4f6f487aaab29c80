import type pg from 'pg';
import type { Clock } from '../../../platform/clock.ts';
import type { CommitSignal } from '../../../platform/database/commit-signal.ts';
import type { Database } from '../../../platform/database/database.ts';
import { OrgBatcher } from '../../../platform/database/org-batcher.ts';
import { Problem } from '../../../platform/errors.ts';
import type { Logger } from '../../../platform/logger.ts';
import type { Instruments } from '../../../platform/telemetry/index.ts';
import {
  type AcquireOperation,
  type LeaseChanges,
  type LeaseQueue,
  TooBroad,
  type Wanted,
} from '../../leases/index.ts';
import { Announcements } from './announcements.ts';
import { BroadWay } from './broad-way.ts';
import { GeneralWay } from './general-way.ts';
import { createVersionCaches } from './load.ts';
import { OneCall } from './one-call/one-call.ts';
import { ShortWay } from './one-call/short-way.ts';
import { batchesOf, type HotAnswer, type HotOperation } from './operation.ts';
import { Refusals } from './refusals.ts';
import { RefusedBeats } from './refused-beats.ts';
import { UnderWay } from './under-way.ts';

export interface HotPathDeps {
  readonly pool: pg.Pool;
  readonly db: Database;
  readonly signal: CommitSignal;
  readonly instruments: Instruments;
  readonly logger: Logger;
  readonly clock: Clock;
  /** What the search for one broad request may cost, where that is to be less than usual. */
  readonly searchStepsMax?: number | undefined;
}

/** What is answered only to whoever may act for the run, in its current epoch as far as it was said. */
const REFUSED_TO_ITS_OWN = new Set([
  'halted',
  'lease_conflict',
  'lease_revoked',
  'lease_deadlock',
  'lease_wait_on_self',
]);

/** How often a request is tried the short way while others come and go, before it goes the general way after all. */
const LOOKS = 3;

/**
 * Leases, decisions and admissions: sends each the shortest way that can decide it. Each way has one batch in flight per org
 * on this server; nobody is answered before the commit. See src/README.md, "Decisions, in short".
 */
export class HotPath implements LeaseQueue {
  readonly #instruments: Instruments;
  readonly #announcements: Announcements;
  readonly #oneCall: OneCall;
  readonly #underWay = new UnderWay();
  readonly #shortWay: ShortWay;
  readonly #refusals: Refusals;
  readonly #refusedBeats: RefusedBeats;
  readonly #generalWay: OrgBatcher<HotOperation, HotAnswer>;
  readonly #broadWay: BroadWay;

  constructor(deps: HotPathDeps) {
    const [oneCall, underWay, announcements] = [new OneCall(deps), this.#underWay, new Announcements(deps)];
    const caches = createVersionCaches();
    const general = new GeneralWay({
      ...deps,
      caches,
      onLoaded: (loaded) => oneCall.remember(loaded),
      onDecided: (orgId, decided, size, seconds) => {
        for (const lease of decided.plan.renewed) oneCall.leases.see(orgId, lease);
        announcements.tell(orgId, decided, size, seconds);
      },
    });
    this.#instruments = deps.instruments;
    this.#announcements = announcements;
    this.#oneCall = oneCall;
    this.#shortWay = new ShortWay({
      oneCall,
      underWay,
      clock: deps.clock,
      onCommitted: (orgId, committed, seconds) => announcements.tell(orgId, committed, committed.taken.length, seconds),
    });
    this.#refusedBeats = new RefusedBeats({ ...deps, known: oneCall });
    this.#refusals = new Refusals({ ...deps, caches, known: oneCall });
    this.#generalWay = new OrgBatcher(
      (orgId, ops) => underWay.while(orgId, ops.flatMap(wantedOf), () => general.settle(orgId, ops)),
      batchesOf((op) => ('wanted' in op ? op.wanted : null)),
    );
    this.#broadWay = new BroadWay(deps, this.#generalWay);
    this.onLeases((changes) => oneCall.leases.apply(changes));
  }

  /** Called after each commit that changed leases or the line, on this server's batches only. */
  onLeases(listener: (changes: LeaseChanges) => void): void {
    this.#announcements.onLeases(listener);
  }

  async submit(operation: HotOperation): Promise<HotAnswer> {
    try {
      const answer = await this.#settle(operation);
      if (answer.body['outcome'] === 'wait') this.#refused(operation, 'lease_conflict');
      return answer;
    } catch (error) {
      if (error instanceof Problem) this.#refused(operation, error.code);
      throw error;
    }
  }

  #refused(operation: HotOperation, code: string): void {
    if (!('wanted' in operation) || operation.wanted === null) return;
    if (code === 'lease_conflict') this.#instruments.leaseConflicted(operation.wanted.mode);
    if (REFUSED_TO_ITS_OWN.has(code) && operation.runId !== null)
      this.#refusedBeats.note(operation.principal.orgId, operation.runId);
  }

  async #settle(operation: HotOperation): Promise<HotAnswer> {
    const short = isPlain(operation) ? await this.#plainly(operation) : await this.#shortWay.submit(operation);
    if (short !== null) return short;
    try {
      return await this.#generalWay.submit(operation.principal.orgId, operation);
    } catch (error) {
      if (!(error instanceof TooBroad) || !('wanted' in operation)) throw error;
      return this.#broadWay.submit(operation);
    }
  }

  /**
   * Stands back while others that want the same are decided, then is granted in one call, or refused by what another holds.
   * Null for what has to be decided the general way.
   * @throws Problem 409 `lease_conflict`
   */
  async #plainly(operation: AcquireOperation): Promise<HotAnswer | null> {
    const { repo, runId, wanted } = operation;
    const { leases } = this.#oneCall;
    for (let look = 1; look <= LOOKS; look += 1) {
      const underWay = this.#underWay.of(operation.principal.orgId, { repoId: repo.id, wanted });
      if (underWay !== null) await underWay;
      const short = await this.#shortWay.submit(operation);
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
}

/** Who waits, or asks again under a key, may be given something though another holds it now. */
function isPlain(operation: HotOperation): operation is AcquireOperation {
  return operation.kind === 'acquire' && !operation.waits && operation.idempotent === null;
}

function wantedOf(op: HotOperation): { repoId: string; wanted: Wanted }[] {
  return 'wanted' in op && op.repo !== null && op.wanted !== null ? [{ repoId: op.repo.id, wanted: op.wanted }] : [];
}
