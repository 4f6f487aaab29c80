import type pg from 'pg';
import { budgetOf } from '../../../../patterns/index.ts';
import type { Clock } from '../../../../platform/clock.ts';
import type { Settled } from '../../../../platform/database/org-batcher.ts';
import { flush } from '../../../../platform/database/pipeline.ts';
import { isConnectionLoss } from '../../../../platform/database/sql-state.ts';
import { Problem } from '../../../../platform/errors.ts';
import type { Logger } from '../../../../platform/logger.ts';
import { RecentMap } from '../../../../platform/recent-map.ts';
import { TooBroad } from '../../../leases/index.ts';
import { acquire } from '../decide-acquire.ts';
import { answer, ask } from '../decide-ask.ts';
import { BATCH_STEPS_MAX, type Decided } from '../decide-batch.ts';
import { release, renew } from '../decide-lease.ts';
import type { Loaded } from '../load.ts';
import type { Written } from '../lost-batch.ts';
import type { HotAnswer, HotOperation } from '../operation.ts';
import { BatchPlan } from '../plan.ts';
import { keptRow } from '../plan-rows.ts';
import { keptKey, type Snapshot } from '../snapshot.ts';
import { timeMark } from '../time-mark.ts';
import { TooSoon } from '../too-soon.ts';
import { assume } from './assume.ts';
import { callStatement } from './call.ts';
import { OrgFacts } from './facts.ts';
import { KnownLeases } from './known-leases.ts';
import { lostCallOutcome } from './lost-call.ts';
import { type Subject, subjectOf } from './subject.ts';
import { putIn, withMarks } from './times.ts';

const ORGS = 1000;
const IDEMPOTENCY_KEYS = 20_000;

/** A batch that one call has committed; `results` in the order of `taken`, which are places in the batch as it came. */
export interface Committed extends Decided, Written {
  readonly taken: readonly number[];
}

/**
 * The short way for a batch in which nothing overlaps anything: decided by what this server remembers of the org, written
 * by one call that compares all of that under the locks. It is right or it writes nothing: then, and for all else, there
 * is the general way. It saves the round trip that reads, and the reading.
 */
export class OneCall {
  readonly #deps: { readonly pool: pg.Pool; readonly clock: Clock; readonly logger: Logger };
  readonly #orgs = new RecentMap<OrgFacts>(ORGS);
  readonly leases = new KnownLeases();
  /** Tried once, a key may have an answer that has to be given again, which is found the general way. */
  readonly #triedKeys = new RecentMap<true>(IDEMPOTENCY_KEYS);

  constructor(deps: { readonly pool: pg.Pool; readonly clock: Clock; readonly logger: Logger }) {
    this.#deps = deps;
  }

  remember({ snapshot, factsVersion }: Loaded): void {
    const { orgId } = snapshot;
    this.#orgs.set(orgId, new OrgFacts(snapshot, factsVersion, this.#deps.clock.monotonicMs(), this.#orgs.get(orgId)));
  }

  /** What is remembered of the org; to be compared with what is so now. */
  factsOf(orgId: string): OrgFacts | undefined {
    return this.#orgs.get(orgId);
  }

  /** What to attempt; null for an operation that only the general way can decide, or that is known to overlap. */
  subject(op: HotOperation): Subject | null {
    const { orgId } = op.principal;
    const subject = subjectOf(op, (id) => this.leases.get(orgId, id));
    if (subject === null || this.#orgs.get(orgId)?.suffice(subject) !== true) return null;
    return this.#isHeld(subject) || this.#isRepeated(subject) ? null : subject;
  }

  #isRepeated({ op, keyId }: Subject): boolean {
    if (op.idempotent === null) return false;
    const key = keptKey(keyId, op.idempotent.key);
    const isKnown = this.#triedKeys.get(key) === true;
    this.#triedKeys.set(key, true);
    return isKnown;
  }

  #isHeld({ repoId, wanted }: Subject): boolean {
    return wanted !== null && this.leases.holds(repoId, wanted);
  }

  /**
   * `onLost` is called when the answer was lost with its connection: from then on it may take seconds to find out.
   * @returns null when nothing was written. @throws Problem 503 when nobody can say whether it was.
   */
  async attempt(orgId: string, subjects: readonly Subject[], onLost: () => void): Promise<Committed | null> {
    const facts = this.#orgs.get(orgId);
    if (facts === undefined) return null;
    // Facts may have moved on since they were let in.
    const current = subjects.filter((subject) => facts.suffice(subject) && !this.#isHeld(subject));
    const snapshot = assume(orgId, facts, current, facts.now(this.#deps.clock.monotonicMs()));
    const plan = new BatchPlan(snapshot, timeMark);
    const decided = this.#decide(snapshot, plan, current);
    if (decided === null) return null;
    const taken = decided.map(({ subject }) => subjects.indexOf(subject));
    const results = decided.map(({ given }): Settled<HotAnswer> => ({ ok: true, answer: given }));
    const statement = callStatement(
      snapshot,
      facts.factsVersion,
      taken.map((index) => subjects[index]!),
      plan,
    );
    if (statement === null) return null;
    const written = await this.#call(snapshot, statement, plan, onLost);
    if (written === null) return null;
    for (const id of plan.beaten) facts.beat(id, written.at);
    putIn(snapshot, plan, results, written);
    for (const lease of plan.renewed) this.leases.see(orgId, lease);
    return { ...written, snapshot, plan, taken, results };
  }

  /** Null after what should not happen: the plan may have half of it. Then all is decided the general way, and only later. */
  #decide(snapshot: Snapshot, plan: BatchPlan, subjects: readonly Subject[]) {
    const isSpent = budgetOf(BATCH_STEPS_MAX);
    try {
      return subjects.flatMap((subject) => {
        if (isSpent()) return [];
        const given = decide(snapshot, plan, subject);
        return given === null ? [] : [{ subject, given }];
      });
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'a batch could not be decided for one call');
      return null;
    }
  }

  async #call(
    snapshot: Snapshot,
    statement: ReturnType<typeof callStatement> & object,
    plan: BatchPlan,
    onLost: () => void,
  ): Promise<Written | null> {
    const client = await this.#deps.pool.connect();
    let broken: Error | undefined;
    try {
      const [result] = await flush(client, [statement]);
      const [row] = result!.rows as { answer: string }[];
      return this.#read(row!.answer);
    } catch (error) {
      this.#deps.logger.debug({ err: error }, 'one call failed');
      if (!isConnectionLoss(error)) return null;
      broken = error as Error;
    } finally {
      client.release(broken);
    }
    onLost();
    return lostCallOutcome(this.#deps, snapshot, plan);
  }

  #read(answered: string): Written | null {
    if (answered.startsWith('no: ')) {
      this.#deps.logger.debug({ answered }, 'not for one call');
      return null;
    }
    const [firstSeq, ms] = answered.split(' ').map(Number);
    return { firstSeq: firstSeq!, at: new Date(ms!) };
  }
}

/** Null for whatever is not simply granted, allowed, denied or extended: that is decided the general way. */
function decide(snapshot: Snapshot, plan: BatchPlan, subject: Subject): HotAnswer | null {
  const given = decideOne(snapshot, plan, subject);
  const { op, keyId } = subject;
  if (given !== null && op.idempotent !== null)
    plan.keep(keptRow(op.idempotent, keyId, withMarks(snapshot, plan, given)));
  return given;
}

function decideOne(snapshot: Snapshot, plan: BatchPlan, { op }: Subject): HotAnswer | null {
  try {
    switch (op.kind) {
      // Whoever would have to wait for another one of this batch gets in line the general way.
      case 'acquire':
        return acquire(snapshot, plan, { ...op, waits: false });
      case 'ask': {
        const asked = ask(snapshot, { ...op, waits: false });
        if (asked.judgement.outcome === 'require_approval') return null;
        const given = answer(snapshot, plan, asked);
        return given.body['outcome'] === 'wait' ? null : given;
      }
      case 'renew': {
        // Each answer tells the time of its own renewal: of a second one in the same call it would be the other's.
        if (plan.renewed.some(({ id }) => id === op.leaseId)) return null;
        const before = plan.renewed.length;
        const given = renew(snapshot, plan, op);
        return plan.renewed.length > before ? given : null;
      }
      case 'release':
        return release(snapshot, plan, op);
    }
  } catch (error) {
    // A refusal tells of times and holders: let it be decided by what is read.
    if (error instanceof Problem || error instanceof TooBroad || error instanceof TooSoon) return null;
    throw error;
  }
}
