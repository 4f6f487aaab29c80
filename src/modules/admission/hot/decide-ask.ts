import { canonicalDigest } from '../../../platform/canonical.ts';
import { principalId } from '../../../platform/principal.ts';
import {
  HELD_SECONDS,
  type HeldLease,
  type SpentApproval,
  toWatch,
  type Verdict,
  type Waiter,
} from '../../leases/index.ts';
import type { RunFacts } from '../../loops/index.ts';
import { actingRun, judge, settle, show } from './decide-lease.ts';
import { enqueue, isLeftToOthers, keptPlace, placeIn } from './decide-wait.ts';
import { type Judgement, judgeRequest, type ShownRule } from './judgement.ts';
import type { AskOperation, HotAnswer } from './operation.ts';
import type { BatchPlan } from './plan.ts';
import { type Asked, approvalRule, open, record, rejectionRule, revokedRule } from './record.ts';
import type { ApprovalRow, Snapshot } from './snapshot.ts';

/** First half: halts, guardrails, policies. @throws Problem of `actingRun` */
export function ask(snapshot: Snapshot, op: AskOperation): Asked {
  const run = op.runId === null ? null : actingRun(snapshot, op, op.runId);
  const judgement = judgeRequest(snapshot, op, run);
  const needsApproval = judgement.outcome === 'require_approval';
  return {
    op,
    run,
    judgement,
    digest: needsApproval ? digestOf(op, run) : '',
    ridesOn: needsApproval && run !== null ? riddenApproval(snapshot, op, run, judgement) : null,
  };
}

/**
 * The digest binds who (the loop, else the principal), what is done to what, and the content if the caller said so;
 * never free text, which no retry repeats word for word, and not the run, since an approval may outlive a session.
 */
function digestOf(op: AskOperation, run: RunFacts | null): string {
  const parts = op.parts.map(({ action, subjects, patterns }) => ({
    action,
    subjects: subjects.map((subject) => canonicalDigest(subject).toString('hex')).toSorted(),
    ...(patterns === undefined ? {} : { patterns: patterns.toSorted() }),
  }));
  const who = run === null ? { principal: principalId(op.principal) } : { loop: run.loop.id };
  return canonicalDigest({ who, repo: op.repo?.id ?? null, parts, content: op.contentDigest }).toString('hex');
}

function riddenApproval(
  snapshot: Snapshot,
  op: AskOperation,
  run: RunFacts,
  judgement: Judgement,
): SpentApproval | null {
  const table = op.repo === null ? undefined : snapshot.tables.get(op.repo.id);
  const paths = op.wanted?.matchers ?? [];
  if (table === undefined || paths.length === 0 || op.parts.some(({ action }) => action !== op.action)) return null;
  const mayRide = (lease: HeldLease): boolean =>
    lease.runId === run.id && lease.expiresAt > snapshot.now && carries(lease, op, judgement);
  table.begin();
  const found = paths.map((path) => {
    if (path.kind !== 'path') return null;
    const ridden = table.overlaps(path, mayRide).find((overlap) => table.isHeldWhole(overlap));
    return ridden?.by.approval ?? null;
  });
  return found.every((approval) => approval !== null) ? (found[0] ?? null) : null;
}

/** What was approved must be the same action, and meet all that the policies ask today. */
function carries(lease: HeldLease, op: AskOperation, judgement: Judgement): boolean {
  return (
    lease.approval !== null &&
    lease.approval.action === op.action &&
    meets(lease.approval.requirements, judgement.requirements)
  );
}

function meets(had: SpentApproval['requirements'], asked: SpentApproval['requirements']): boolean {
  return asked.every((need) =>
    had.some(
      (met) =>
        met.policy === need.policy && met.ruleId === need.ruleId && met.team === need.team && met.count >= need.count,
    ),
  );
}

/**
 * Second half: approvals, then the lease, then what is written. For a request that must wait nothing is written but its
 * place in the line, if it asks for one; once it has another answer, it gives up that place.
 */
export function answer(snapshot: Snapshot, plan: BatchPlan, asked: Asked): HotAnswer {
  const { op } = asked;
  const given = decide(snapshot, plan, asked);
  const ticket = keptPlace(snapshot, plan, op.ticketId, op.runId);
  if (ticket === null || given.body['outcome'] === 'wait') return given;
  const lease = given.body['lease'] as { id: string } | undefined;
  // Others may do what this one may not.
  if (lease === undefined && isLeftToOthers(snapshot, plan, ticket)) return given;
  plan.line.settle(
    op.principal,
    ticket,
    lease === undefined ? { status: 'ended', reason: 'decided_otherwise' } : { leaseId: lease.id },
  );
  return given;
}

function decide(snapshot: Snapshot, plan: BatchPlan, asked: Asked): HotAnswer {
  const { judgement, ridesOn, digest } = asked;
  if (judgement.outcome === 'deny') return record(snapshot, plan, asked, { outcome: 'deny', extra: [] });
  if (judgement.outcome === 'allow') return proceed(snapshot, plan, asked, null, []);
  if (ridesOn !== null)
    return proceed(snapshot, plan, asked, ridesOn, [
      approvalRule(ridesOn.id, 'This lease was granted on an approval; further edits under it ride on that.'),
    ]);
  const approval = snapshot.approvals.get(digest);
  if (approval !== undefined && approval.expiresAt <= snapshot.now) {
    plan.endApproval(approval.id, approval.status, 'expired', null);
    plan.emit(asked.op.principal, { kind: 'approval.expired', subject: { kind: 'approval', id: approval.id } });
    return open(snapshot, plan, asked);
  }
  switch (approval?.status) {
    case undefined:
      return open(snapshot, plan, asked);
    case 'rejected':
      return record(snapshot, plan, asked, { outcome: 'deny', extra: [rejectionRule(approval)] });
    case 'pending':
      if (!meets(approval.requirements, judgement.requirements)) return reopen(snapshot, plan, asked, approval);
      return record(snapshot, plan, asked, { outcome: 'require_approval', extra: [], approvalId: approval.id });
    case 'approved':
      if (!meets(approval.requirements, judgement.requirements)) return reopen(snapshot, plan, asked, approval);
      return spend(snapshot, plan, asked, approval);
  }
}

/** A policy asks for more than this approval was opened for: what was given does not count for it. */
function reopen(snapshot: Snapshot, plan: BatchPlan, asked: Asked, approval: ApprovalRow): HotAnswer {
  plan.endApproval(approval.id, approval.status, 'expired', null);
  plan.emit(asked.op.principal, {
    kind: 'approval.expired',
    subject: { kind: 'approval', id: approval.id },
    data: { reason: 'policy asks for more' },
  });
  return open(snapshot, plan, asked);
}

/** The lease first: if it conflicts, the approval is not spent. */
function spend(snapshot: Snapshot, plan: BatchPlan, asked: Asked, approval: ApprovalRow): HotAnswer {
  const spent: SpentApproval = { id: approval.id, action: asked.op.action, requirements: approval.requirements };
  const verdict = judgeLease(snapshot, plan, asked);
  if (verdict?.kind === 'conflict') return waiting(snapshot, plan, asked, verdict);
  if (verdict?.kind === 'revoked')
    return record(snapshot, plan, asked, { outcome: 'deny', extra: [revokedRule(verdict)] });
  snapshot.approvals.delete(asked.digest);
  plan.endApproval(approval.id, 'approved', 'spent', asked.run?.id ?? null);
  plan.emit(asked.op.principal, {
    kind: 'approval.spent',
    subject: { kind: 'approval', id: approval.id },
    data: { runId: asked.run?.id ?? null, loopId: asked.run?.loop.id ?? null, action: asked.op.action },
  });
  return proceed(snapshot, plan, asked, spent, [
    approvalRule(approval.id, 'A human approved this; the approval is spent now.'),
  ]);
}

function proceed(
  snapshot: Snapshot,
  plan: BatchPlan,
  asked: Asked,
  approval: SpentApproval | null,
  extra: readonly ShownRule[],
): HotAnswer {
  const { op, run } = asked;
  const verdict = judgeLease(snapshot, plan, asked);
  if (verdict?.kind === 'conflict') return waiting(snapshot, plan, asked, verdict);
  if (verdict?.kind === 'revoked')
    return record(snapshot, plan, asked, { outcome: 'deny', extra: [revokedRule(verdict)] });
  const recorded = record(snapshot, plan, asked, {
    outcome: 'allow',
    extra,
    ...(approval === null ? {} : { approvalId: approval.id }),
  });
  if (verdict === null || run === null || op.repo === null || op.wanted === null) return recorded;
  const place = keptPlace(snapshot, plan, op.ticketId, run.id);
  // What it has joined was asked for by others as well, and perhaps for longer.
  const ttlSeconds = place?.kind === 'lease' ? Math.max(op.wanted.ttlSeconds, place.ttlSeconds) : op.wanted.ttlSeconds;
  const lease = settle(snapshot, plan, {
    principal: op.principal,
    run,
    repoId: op.repo.id,
    wanted: { ...op.wanted, ttlSeconds },
    verdict,
    approval,
    decisionId: (recorded.body['decision'] as { id: string }).id,
    ticketId: place?.id ?? null,
  });
  return { ...recorded, body: { ...recorded.body, lease: show(snapshot, lease) } };
}

function judgeLease(snapshot: Snapshot, plan: BatchPlan, { op, run }: Asked): Verdict | null {
  if (op.wanted === null || op.repo === null || run === null) return null;
  const place = placeIn(keptPlace(snapshot, plan, op.ticketId, run.id));
  return judge(snapshot, op.repo.id, { runId: run.id, place }, op.wanted, op.searched);
}

/** No decision, no lease, no spent approval is kept; the caller asks again, with the place that it has in the line. */
function waiting(
  snapshot: Snapshot,
  plan: BatchPlan,
  asked: Asked,
  verdict: Extract<Verdict, { kind: 'conflict' }>,
): HotAnswer {
  const { op, judgement } = asked;
  const decision = { id: null, outcome: 'allow', rules: judgement.rules, policyVersion: null };
  const ticket = op.waits ? placeOfAdmission(snapshot, plan, asked, verdict) : null;
  return {
    status: 200,
    body: {
      outcome: 'wait',
      decision,
      conflicts: verdict.conflicts,
      moreConflicts: verdict.isCut,
      free: verdict.free,
      ...(ticket === null ? {} : { ticketId: ticket.id }),
    },
  };
}

function placeOfAdmission(
  snapshot: Snapshot,
  plan: BatchPlan,
  { op, run }: Asked,
  verdict: Extract<Verdict, { kind: 'conflict' }>,
): Waiter | null {
  if (run === null || op.repo === null || op.wanted === null) return null;
  const ticket = keptPlace(snapshot, plan, op.ticketId, run.id);
  if (ticket !== null) {
    plan.line.block(ticket, toWatch(verdict.inTheWay));
    return ticket;
  }
  // Whoever cancelled it does not want to wait any longer.
  if (op.ticketId !== null && snapshot.tickets.get(op.ticketId)?.status === 'cancelled') return null;
  const { principal, repo, wanted, epoch, searched } = op;
  const heldUntil = new Date(snapshot.now.getTime() + HELD_SECONDS * 1000);
  return enqueue(snapshot, plan, {
    principal,
    run,
    repo,
    wanted,
    verdict,
    kind: 'admission',
    heldUntil,
    epoch,
    searched,
  });
}
