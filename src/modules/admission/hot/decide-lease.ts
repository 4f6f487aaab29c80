import { conflict, forbidden, notFound, Problem } from '../../../platform/errors.ts';
import { newId } from '../../../platform/ids.ts';
import type { Principal } from '../../../platform/principal.ts';
import {
  type AcquireOperation,
  decideLease,
  type HeldLease,
  type LeaseView,
  type ReleaseOperation,
  type RenewOperation,
  type SpentApproval,
  standing,
  type Verdict,
  viewLease,
  type Wanted,
} from '../../leases/index.ts';
import { mayActFor, type RunFacts } from '../../loops/index.ts';
import { haltsOf } from './halts.ts';
import type { HotAnswer } from './operation.ts';
import type { BatchPlan } from './plan.ts';
import type { Snapshot } from './snapshot.ts';

/**
 * The run that an operation acts for.
 * @throws Problem 404 `not_found`, 403 `not_your_run`, 409 `run_finished`
 */
export function actingRun(snapshot: Snapshot, principal: Principal, runId: string): RunFacts {
  const run = snapshot.runs.get(runId);
  if (run === undefined) throw notFound('run');
  requireActor(principal, run.loop.id, run.owner.id);
  if (run.status === 'finished') throw conflict('run_finished', 'The run has finished.');
  return run;
}

function requireActor(principal: Principal, loopId: string, ownerId: string): void {
  if (!mayActFor(principal, { loopId, ownerId })) throw forbidden('This key may not act for that run.', 'not_your_run');
}

/** @throws Problem 409 `halted`, `lease_conflict`, and those of `actingRun` */
export function acquire(snapshot: Snapshot, plan: BatchPlan, op: AcquireOperation): HotAnswer {
  const run = actingRun(snapshot, op.principal, op.runId);
  const [halt] = haltsOf(snapshot, run, op.repo.id);
  if (halt !== undefined) throw conflict('halted', `Halted (${halt.scopeKind}): ${halt.reason}`, { haltId: halt.id });
  const verdict = judge(snapshot, run, op.repo.id, op.wanted);
  if (verdict.kind === 'conflict') throw leaseConflict(verdict, snapshot);
  plan.beat(run, op.principal);
  const lease = settle(snapshot, plan, {
    principal: op.principal,
    run,
    repoId: op.repo.id,
    wanted: op.wanted,
    verdict,
    approval: null,
    decisionId: null,
  });
  return { status: 201, body: { lease: show(snapshot, lease) } };
}

export function judge(snapshot: Snapshot, run: RunFacts, repoId: string, wanted: Wanted): Verdict {
  const table = snapshot.tables.get(repoId);
  if (table === undefined) throw notFound('repo');
  return decideLease(table, run.id, wanted, {
    now: snapshot.now,
    lockDelaySeconds: snapshot.settings.lockDelaySeconds,
  });
}

interface Settlement {
  readonly principal: Principal;
  readonly run: RunFacts;
  readonly repoId: string;
  readonly wanted: Wanted;
  readonly verdict: Exclude<Verdict, { kind: 'conflict' }>;
  readonly approval: SpentApproval | null;
  readonly decisionId: string | null;
}

/** A lease is extended by asking again only when this much of it has passed: a burst of edits is not a burst of writes. */
const RENEW_BELOW = 2 / 3;

/** Writes the verdict down: the lease that is held already, extended if it runs low, or a new one. */
export function settle(
  snapshot: Snapshot,
  plan: BatchPlan,
  { principal, run, repoId, wanted, verdict, approval, decisionId }: Settlement,
): HeldLease {
  if (verdict.kind === 'held' && (approval === null || verdict.lease.approval?.id === approval.id)) {
    const remainingMs = verdict.lease.expiresAt.getTime() - snapshot.now.getTime();
    if (remainingMs < wanted.ttlSeconds * 1000 * RENEW_BELOW) plan.renew(principal, verdict.lease, wanted.ttlSeconds);
    return verdict.lease;
  }
  if (verdict.kind === 'grant') plan.clear(verdict.over);
  const lease: HeldLease = {
    id: newId(),
    repoId,
    repo: snapshot.repos.get(repoId)?.name ?? '',
    runId: run.id,
    loopId: run.loop.id,
    fence: null,
    mode: wanted.mode,
    matchers: wanted.matchers,
    purpose: wanted.purpose,
    ttlSeconds: wanted.ttlSeconds,
    grantedAt: snapshot.now,
    expiresAt: new Date(snapshot.now.getTime() + wanted.ttlSeconds * 1000),
    runFinished: false,
    approval,
    holder: { loop: { id: run.loop.id, name: run.loop.name }, run: { id: run.id }, owner: run.owner },
  };
  plan.grant(principal, lease, decisionId);
  snapshot.tables.get(repoId)?.add(lease);
  return lease;
}

function leaseConflict(verdict: Extract<Verdict, { kind: 'conflict' }>, snapshot: Snapshot): Problem {
  const first = verdict.conflicts[0]!;
  const detail = `${first.witness} is held by loop ${first.holder.loop.name} of ${first.holder.owner.name || first.holder.owner.id} until ${first.freeAt}${
    first.purpose === null ? '' : `: ${first.purpose}`
  }.`;
  return conflict('lease_conflict', detail, {
    conflicts: verdict.conflicts,
    free: verdict.free,
    at: snapshot.now.toISOString(),
  });
}

/** @throws Problem 409 `fence_stale` for another fence, an ended or an expired lease; 404; 403 `not_your_run` */
export function renew(snapshot: Snapshot, plan: BatchPlan, op: RenewOperation): HotAnswer {
  const lease = currentLease(snapshot, op);
  plan.renew(op.principal, lease, op.ttlSeconds ?? lease.ttlSeconds);
  return { status: 200, body: { lease: show(snapshot, lease) } };
}

/** @throws Problem as `renew` */
export function release(snapshot: Snapshot, plan: BatchPlan, op: ReleaseOperation): HotAnswer {
  const lease = currentLease(snapshot, op);
  plan.end(op.principal, lease, 'released');
  return { status: 200, body: { lease: { ...show(snapshot, lease), state: 'over' } } };
}

/** Compares lease, fence and holder, never "whoever holds this path". */
function currentLease(snapshot: Snapshot, op: RenewOperation | ReleaseOperation): HeldLease {
  const lease = snapshot.leases.get(op.leaseId);
  const ended = snapshot.endedLeases.get(op.leaseId);
  const known = lease ?? ended;
  if (known === undefined) throw notFound('lease');
  requireActor(op.principal, known.loopId, known.holder.owner.id);
  const gone = lease === undefined || snapshot.tables.get(lease.repoId)?.get(lease.id) === undefined;
  if (gone || standing(lease, snapshot.now, snapshot.settings.lockDelaySeconds) !== 'live') {
    throw conflict('fence_stale', 'The lease has ended.', { leaseId: op.leaseId, fence: known.fence });
  }
  if (lease.fence !== op.fence)
    throw conflict('fence_stale', 'The fence is not that of this lease.', { leaseId: op.leaseId });
  return lease;
}

/** As answers show it; a fence that is not known yet is filled in after the commit. */
export function show(snapshot: Snapshot, lease: HeldLease): LeaseView {
  return viewLease(lease, snapshot.now, snapshot.settings.lockDelaySeconds);
}
