import { asSentence, conflict, forbidden, notFound, Problem } from '../../../platform/errors.ts';
import { newId } from '../../../platform/ids.ts';
import type { Principal } from '../../../platform/principal.ts';
import {
  type Asker,
  decideLease,
  type HeldLease,
  type Holder,
  type LeaseView,
  type ReleaseOperation,
  type RenewOperation,
  type RevokeOperation,
  type Searched,
  type SpentApproval,
  type Spoken,
  standing,
  TooBroad,
  tooIntricate,
  type Verdict,
  viewLease,
  type Wanted,
} from '../../leases/index.ts';
import { demandEpoch, mayActFor, type RunFacts } from '../../loops/index.ts';
import type { HotAnswer } from './operation.ts';
import type { BatchPlan } from './plan.ts';
import type { Snapshot } from './snapshot.ts';
import { TooSoon } from './too-soon.ts';

/** Who asks for something in the name of a run. */
interface Acting extends Spoken {
  readonly principal: Principal;
}

/**
 * The run that an operation acts for.
 * @throws Problem 404 `not_found`, 403 `not_your_run`, 409 `epoch_stale`, `epoch_unknown`, `run_finished`
 */
export function actingRun(snapshot: Snapshot, { principal, epoch }: Acting, runId: string): RunFacts {
  const run = snapshot.runs.get(runId);
  if (run === undefined) throw notFound('run');
  requireActor(principal, run.loop.id, run.owner.id);
  if (epoch !== undefined) demandEpoch(run, epoch);
  if (run.status === 'finished') throw conflict('run_finished', 'The run has finished.');
  return run;
}

export function requireActor(principal: Principal, loopId: string, ownerId: string): void {
  if (!mayActFor(principal, { loopId, ownerId })) throw forbidden('This key may not act for that run.', 'not_your_run');
}

/**
 * `searched`: what is known of a broad request.
 * @throws TooBroad when what was found of it does not tell; TooSoon where it is to extend what this very batch gives, or to
 *   take its place
 */
export function judge(
  snapshot: Snapshot,
  repoId: string,
  asker: Asker,
  wanted: Wanted,
  searched: Searched | undefined,
): Verdict {
  const leases = snapshot.tables.get(repoId);
  const waiters = snapshot.waiters.get(repoId);
  if (leases === undefined || waiters === undefined) throw notFound('repo');
  // It has lost its place since: who stood behind it was not looked for.
  if (searched?.place !== undefined && asker.place > searched.place)
    throw new TooBroad('it was looked up for a place ahead');
  const { now, settings } = snapshot;
  const verdict = decideLease({ leases, waiters }, asker, wanted, {
    now,
    lockDelaySeconds: settings.lockDelaySeconds,
  });
  if (changed(verdict, wanted, now).some(hasNoRowYet)) throw new TooSoon();
  if (searched?.isWhole !== false) return verdict;
  // Of a part only a refusal is sure, and that there is more.
  if (verdict.kind !== 'conflict')
    throw searched.isSpent ? tooIntricate() : new TooBroad('what was found is in nobody’s way');
  return { ...verdict, isCut: true };
}

/** What the run has by now that the verdict extends or ends. */
function changed(verdict: Verdict, { ttlSeconds }: Wanted, now: Date): readonly HeldLease[] {
  if (verdict.kind === 'grant') return verdict.upgraded;
  return verdict.kind === 'held' && runsLow(verdict.lease, ttlSeconds, now) ? [verdict.lease] : [];
}

/** One of this very batch. */
function hasNoRowYet({ fence }: HeldLease): boolean {
  return fence === null;
}

interface Settlement {
  readonly principal: Principal;
  readonly run: RunFacts;
  readonly repoId: string;
  readonly wanted: Wanted;
  readonly verdict: Extract<Verdict, { kind: 'held' | 'grant' }>;
  readonly approval: SpentApproval | null;
  readonly decisionId: string | null;
  readonly ticketId: string | null;
}

/** A lease is extended by asking again only when this much of it has passed: a burst of edits is not a burst of writes. */
const RENEW_BELOW = 2 / 3;

function runsLow({ expiresAt }: HeldLease, ttlSeconds: number, now: Date): boolean {
  return expiresAt.getTime() - now.getTime() < ttlSeconds * 1000 * RENEW_BELOW;
}

/** Writes the verdict down: the lease that is held already, extended if it runs low, or a new one. */
export function settle(
  snapshot: Snapshot,
  plan: BatchPlan,
  { principal, run, repoId, wanted, verdict, approval, decisionId, ticketId }: Settlement,
): HeldLease {
  if (verdict.kind === 'held' && (approval === null || verdict.lease.approval?.id === approval.id)) {
    if (runsLow(verdict.lease, wanted.ttlSeconds, snapshot.now))
      plan.renew(principal, verdict.lease, wanted.ttlSeconds);
    return verdict.lease;
  }
  if (verdict.kind === 'grant') plan.clear(verdict.over);
  const replaced = verdict.kind === 'grant' ? verdict.upgraded.filter((old) => isReplaceable(old, approval)) : [];
  // As asking again does, it extends and never shortens what the run has.
  const ttlSeconds = Math.max(wanted.ttlSeconds, ...replaced.map((old) => old.ttlSeconds));
  const lease: HeldLease = {
    id: newId(),
    repoId,
    repo: snapshot.repos.get(repoId)?.name ?? '',
    runId: run.id,
    loopId: run.loop.id,
    fence: null,
    mode: wanted.mode,
    matchers: wanted.matchers,
    purpose: wanted.purpose ?? replaced.find(({ purpose }) => purpose !== null)?.purpose ?? null,
    ttlSeconds,
    grantedAt: snapshot.now,
    expiresAt: new Date(snapshot.now.getTime() + ttlSeconds * 1000),
    runFinished: false,
    revoked: null,
    approval,
    holder: holderOf(run),
  };
  plan.grant(principal, lease, decisionId, ticketId);
  snapshot.tables.get(repoId)?.add(lease);
  for (const old of replaced) plan.end(principal, old, 'upgraded');
  return lease;
}

/** An approval that edits ride on is not given up. */
function isReplaceable(old: HeldLease, approval: SpentApproval | null): boolean {
  return old.approval === null || old.approval.id === approval?.id;
}

const holders = new WeakMap<RunFacts, Holder>();

/** One for all leases of a run: they are remembered by the thousand. */
export function holderOf(run: RunFacts): Holder {
  let holder = holders.get(run);
  if (holder === undefined) {
    holder = { loop: { id: run.loop.id, name: run.loop.name }, run: { id: run.id }, owner: run.owner };
    holders.set(run, holder);
  }
  return holder;
}

export function leaseConflict(verdict: Extract<Verdict, { kind: 'conflict' }>, snapshot: Snapshot): Problem {
  const first = verdict.conflicts[0]!;
  const who = `loop ${first.holder.loop.name} of ${first.holder.owner.name || first.holder.owner.id}`;
  const stands = first.leaseId === null ? `is waited for by ${who}` : `is held by ${who} until ${first.freeAt}`;
  // One line: purposes are others' words.
  const purpose = first.purpose?.replaceAll(/\s+/gu, ' ');
  const detail = `${first.witness} ${stands}${purpose === undefined ? '' : `: ${purpose}`}.`;
  return conflict('lease_conflict', detail, {
    conflicts: verdict.conflicts,
    moreConflicts: verdict.isCut,
    free: verdict.free,
    at: snapshot.now.toISOString(),
  });
}

export function revokedConflict({ lease, witness }: Extract<Verdict, { kind: 'revoked' }>): Problem {
  return conflict('lease_revoked', revokedSentence(lease, witness), {
    leaseId: lease.id,
    witness,
    reason: lease.revoked,
    until: lease.expiresAt.toISOString(),
  });
}

export function revokedSentence(lease: HeldLease, witness: string): string {
  return `An admin revoked this run's lease on ${witness}: ${asSentence(lease.revoked ?? '')} It gets nothing there before ${lease.expiresAt.toISOString()}.`;
}

/**
 * @throws Problem 409 `fence_stale` for another fence, an ended or an expired lease; `epoch_stale`, `epoch_unknown`; 404;
 * 403 `not_your_run`
 */
export function renew(snapshot: Snapshot, plan: BatchPlan, op: RenewOperation): HotAnswer {
  const lease = currentLease(snapshot, op, (run) => plan.beat(run, op.principal));
  plan.renew(op.principal, lease, op.ttlSeconds ?? lease.ttlSeconds);
  return { status: 200, body: { lease: show(snapshot, lease) } };
}

/** @throws Problem as `renew` */
export function release(snapshot: Snapshot, plan: BatchPlan, op: ReleaseOperation): HotAnswer {
  const lease = currentLease(snapshot, op);
  plan.end(op.principal, lease, 'released');
  return { status: 200, body: { lease: { ...show(snapshot, lease), state: 'over' } } };
}

/** Whoever holds it. @throws Problem 404; 409 `lease_over` */
export function revoke(snapshot: Snapshot, plan: BatchPlan, op: RevokeOperation): HotAnswer {
  const lease = snapshot.leases.get(op.leaseId);
  const known = lease ?? snapshot.endedLeases.get(op.leaseId);
  if (known === undefined) throw notFound('lease');
  const state = standing(known, snapshot.now, snapshot.settings.lockDelaySeconds);
  const gone = lease === undefined || snapshot.tables.get(lease.repoId)?.get(lease.id) === undefined;
  if (gone || state === 'over' || state === 'revoked')
    throw conflict('lease_over', 'The lease has ended.', { leaseId: op.leaseId });
  plan.revoke(op.principal, lease, op.reason);
  return { status: 200, body: { lease: show(snapshot, lease) } };
}

/**
 * Compares lease, fence and holder, never "whoever holds this path".
 * @param heardOf of whose run it is, even if it holds the lease no more
 */
function currentLease(
  snapshot: Snapshot,
  op: RenewOperation | ReleaseOperation,
  heardOf: (run: RunFacts) => void = () => {},
): HeldLease {
  const lease = snapshot.leases.get(op.leaseId);
  const ended = snapshot.endedLeases.get(op.leaseId);
  const known = lease ?? ended;
  if (known === undefined) throw notFound('lease');
  requireActor(op.principal, known.loopId, known.holder.owner.id);
  const run = snapshot.runs.get(known.runId);
  if (op.epoch !== undefined) demandEpoch(run!, op.epoch);
  if (run !== undefined && run.status !== 'finished') heardOf(run);
  const gone = lease === undefined || snapshot.tables.get(lease.repoId)?.get(lease.id) === undefined;
  if (gone || standing(lease, snapshot.now, snapshot.settings.lockDelaySeconds) !== 'live') {
    const said =
      known.revoked === null ? 'The lease has ended.' : `An admin revoked the lease: ${asSentence(known.revoked)}`;
    throw conflict('fence_stale', said, { leaseId: op.leaseId, fence: known.fence });
  }
  if (lease.fence !== op.fence)
    throw conflict('fence_stale', 'The fence is not that of this lease.', { leaseId: op.leaseId });
  return lease;
}

/** As answers show it; a fence that is not known yet is filled in after the commit. */
export function show(snapshot: Snapshot, lease: HeldLease): LeaseView {
  return viewLease(lease, snapshot.now, snapshot.settings.lockDelaySeconds);
}
