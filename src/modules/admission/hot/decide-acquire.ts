import { conflict, Problem } from '../../../platform/errors.ts';
import { type AcquireOperation, LAST, TooBroad, type Verdict } from '../../leases/index.ts';
import type { RunFacts } from '../../loops/index.ts';
import { actingRun, judge, leaseConflict, revokedConflict, settle, show } from './decide-lease.ts';
import { enqueue } from './decide-wait.ts';
import { haltsOf } from './halts.ts';
import type { HotAnswer } from './operation.ts';
import type { BatchPlan } from './plan.ts';
import type { Snapshot } from './snapshot.ts';

/** @throws Problem 409 `halted`, `lease_conflict`, `lease_revoked`, those of `enqueue` and of `actingRun` */
export function acquire(snapshot: Snapshot, plan: BatchPlan, op: AcquireOperation): HotAnswer {
  const { run, verdict } = consider(snapshot, op);
  if (verdict.kind === 'revoked') throw revokedConflict(verdict);
  if (verdict.kind === 'conflict') {
    if (!op.waits) throw leaseConflict(verdict, snapshot);
    const waiter = enqueue(snapshot, plan, {
      ...op,
      run,
      verdict,
      kind: 'lease',
      heldUntil: null,
      epoch: op.epoch,
      searched: op.searched,
    });
    return { status: 202, body: { ticket: { id: waiter.id } } };
  }
  plan.beat(run, op.principal);
  const lease = settle(snapshot, plan, {
    principal: op.principal,
    run,
    repoId: op.repo.id,
    wanted: op.wanted,
    verdict,
    approval: null,
    decisionId: null,
    ticketId: null,
  });
  return { status: 201, body: { lease: show(snapshot, lease) } };
}

/** What is in the way of a request by a snapshot that was read without locks; null when it may be nothing, or something else. */
export function refusalOf(snapshot: Snapshot, op: AcquireOperation): Problem | null {
  const { keyId } = op.principal;
  if (keyId === null || !snapshot.keys.has(keyId)) return null;
  try {
    const { verdict } = consider(snapshot, op);
    return verdict.kind === 'conflict' ? leaseConflict(verdict, snapshot) : null;
  } catch (error) {
    if (error instanceof Problem || error instanceof TooBroad) return null;
    throw error;
  }
}

/** @throws Problem 409 `halted`, those of `actingRun` */
function consider(snapshot: Snapshot, op: AcquireOperation): { run: RunFacts; verdict: Verdict } {
  const run = actingRun(snapshot, op, op.runId);
  const [halt] = haltsOf(snapshot, run, op.repo.id);
  if (halt !== undefined) throw conflict('halted', `Halted (${halt.scopeKind}): ${halt.reason}`, { haltId: halt.id });
  return { run, verdict: judge(snapshot, op.repo.id, { runId: run.id, place: LAST }, op.wanted, op.searched) };
}
