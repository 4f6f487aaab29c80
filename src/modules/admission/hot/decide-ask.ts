import { matches } from '../../../patterns/index.ts';
import { canonicalDigest } from '../../../platform/canonical.ts';
import { newId } from '../../../platform/ids.ts';
import { principalId } from '../../../platform/principal.ts';
import type { HeldLease, SpentApproval, Verdict, Wanted } from '../../leases/index.ts';
import type { RunFacts } from '../../loops/index.ts';
import { actingRun, judge, settle, show } from './decide-lease.ts';
import { askerOf, type Judgement, judgeRequest, pathsOf, type ShownRule } from './judgement.ts';
import type { AskOperation, HotAnswer } from './operation.ts';
import type { BatchPlan } from './plan.ts';
import type { ApprovalRow, Snapshot } from './snapshot.ts';

/** How long a checkpoint stays open, and how long a no stands: people are away for days. */
const APPROVAL_TTL_MS = 7 * 24 * 3600 * 1000;

/** An ask with what can be said of it before approvals are read. */
export interface Asked {
  readonly op: AskOperation;
  readonly run: RunFacts | null;
  readonly judgement: Judgement;
  /** Hex; what an approval of this request binds to. Empty where the policies ask for none. */
  readonly digest: string;
  /** The approval that a lease of the run already carries for all of this; edits under it ride on it. */
  readonly ridesOn: SpentApproval | null;
}

/** First half: halts, guardrails, policies. @throws Problem of `actingRun` */
export function ask(snapshot: Snapshot, op: AskOperation): Asked {
  const run = op.runId === null ? null : actingRun(snapshot, op.principal, op.runId);
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
  const found = paths.map((path) => {
    for (const { lease } of table.overlaps(path)) {
      if (lease.runId === run.id && lease.expiresAt > snapshot.now && carries(lease, op, judgement)) {
        if (path.kind === 'path' && lease.matchers.some((held) => matches(held, path, table.mode)))
          return lease.approval;
      }
    }
    return null;
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

/** Second half: approvals, then the lease, then what is written. Nothing is written for a request that must wait. */
export function answer(snapshot: Snapshot, plan: BatchPlan, asked: Asked): HotAnswer {
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
  const verdict = judgeLease(snapshot, asked);
  if (verdict?.kind === 'conflict') return waiting(asked, verdict);
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
  const verdict = judgeLease(snapshot, asked);
  if (verdict?.kind === 'conflict') return waiting(asked, verdict);
  const recorded = record(snapshot, plan, asked, {
    outcome: 'allow',
    extra,
    ...(approval === null ? {} : { approvalId: approval.id }),
  });
  if (verdict === null || run === null || op.repo === null) return recorded;
  const lease = settle(snapshot, plan, {
    principal: op.principal,
    run,
    repoId: op.repo.id,
    wanted: op.wanted as Wanted,
    verdict,
    approval,
    decisionId: (recorded.body['decision'] as { id: string }).id,
  });
  return { ...recorded, body: { ...recorded.body, lease: show(snapshot, lease) } };
}

function judgeLease(snapshot: Snapshot, { op, run }: Asked): Verdict | null {
  if (op.wanted === null || op.repo === null || run === null) return null;
  return judge(snapshot, run, op.repo.id, op.wanted);
}

/** Keeps nothing: no decision, no lease, no spent approval. The caller asks again. */
function waiting({ judgement }: Asked, verdict: Extract<Verdict, { kind: 'conflict' }>): HotAnswer {
  const decision = { id: null, outcome: 'allow', rules: judgement.rules, policyVersion: null };
  return {
    status: 200,
    body: { outcome: 'wait', decision, conflicts: verdict.conflicts, free: verdict.free },
  };
}

function open(snapshot: Snapshot, plan: BatchPlan, asked: Asked): HotAnswer {
  const { op, run, judgement, digest } = asked;
  const id = newId();
  const expiresAt = new Date(snapshot.now.getTime() + APPROVAL_TTL_MS);
  const recorded = record(snapshot, plan, asked, { outcome: 'require_approval', extra: [], approvalId: id });
  const reason = judgement.rules
    .filter(({ effect }) => effect === 'require_approval')
    .map((rule) => rule.reason)
    .join(' ');
  plan.openApproval({
    id,
    digest,
    action: op.action,
    subject: subjectOf(op),
    requirements: judgement.requirements,
    rules: judgement.rules,
    reason,
    decision_id: (recorded.body['decision'] as { id: string }).id,
    run_id: run?.id ?? null,
    loop_id: run?.loop.id ?? null,
    requester_id: principalId(op.principal),
    owner_id: run?.owner.id ?? null,
    created_at: snapshot.now,
    expires_at: expiresAt,
  });
  plan.emit(op.principal, {
    kind: 'approval.opened',
    subject: { kind: 'approval', id },
    data: {
      action: op.action,
      subject: subjectOf(op),
      runId: run?.id ?? null,
      loopId: run?.loop.id ?? null,
      requirements: judgement.requirements,
      reason,
    },
  });
  const { requirements } = judgement;
  snapshot.approvals.set(digest, { id, digest, status: 'pending', requirements, expiresAt, comment: null });
  return recorded;
}

interface Recorded {
  readonly outcome: 'allow' | 'deny' | 'require_approval';
  readonly extra: readonly ShownRule[];
  readonly approvalId?: string;
}

function record(
  snapshot: Snapshot,
  plan: BatchPlan,
  asked: Asked,
  { outcome, extra, approvalId }: Recorded,
): HotAnswer {
  const { op, run, judgement } = asked;
  const id = newId();
  const rules = [...extra, ...judgement.rules];
  if (run !== null) plan.beat(run, op.principal);
  plan.decide({
    id,
    at: snapshot.now,
    action: op.action,
    subject: subjectOf(op),
    actor: askerOf(snapshot, op.principal, run).actor,
    run_id: run?.id ?? null,
    loop_id: run?.loop.id ?? null,
    outcome,
    ungoverned: judgement.ungoverned,
    rules,
    shadow: judgement.shadow,
    approval_id: approvalId ?? null,
  });
  plan.emit(op.principal, {
    kind: 'decision.recorded',
    subject: { id, kind: 'decision' },
    // Keys in order: canonicalJson is faster then, and this is the event that there are most of.
    data: {
      action: op.action,
      approvalId: approvalId ?? null,
      loopId: run?.loop.id ?? null,
      outcome,
      paths: pathsOf(op).slice(0, 50),
      policyVersion: snapshot.policyVersion,
      repo: op.repo?.name ?? null,
      rules: rules.map((rule) => `${rule.policy ?? ''}/${rule.id}`),
      runId: run?.id ?? null,
      ungoverned: judgement.ungoverned,
    },
  });
  const decision = {
    id,
    outcome,
    rules,
    ungoverned: judgement.ungoverned,
    policyVersion: snapshot.policyVersion,
    ...(approvalId === undefined ? {} : { approvalId }),
  };
  return { status: 200, body: { outcome, decision } };
}

/** What was asked, whole: enough to decide it again under another policy. */
function subjectOf(op: AskOperation): Record<string, unknown> {
  return { repo: op.repo?.name ?? null, purpose: op.purpose, contentDigest: op.contentDigest, parts: op.parts };
}

function approvalRule(id: string, reason: string): ShownRule {
  return { id: `approval:${id}`, policy: null, version: null, effect: 'allow', reason, paths: [] };
}

function rejectionRule(approval: ApprovalRow): ShownRule {
  const said = approval.comment === null ? '' : ` They said: ${approval.comment}`;
  return {
    id: `approval:${approval.id}`,
    policy: null,
    version: null,
    effect: 'deny',
    reason: `A human rejected this.${said}`,
    paths: [],
  };
}
