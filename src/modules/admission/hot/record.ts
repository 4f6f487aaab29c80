import { newId } from '../../../platform/ids.ts';
import { principalId } from '../../../platform/principal.ts';
import type { SpentApproval, Verdict } from '../../leases/index.ts';
import type { RunFacts } from '../../loops/index.ts';
import { revokedSentence } from './decide-lease.ts';
import { askerOf, type Judgement, pathsOf, type ShownRule } from './judgement.ts';
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

export function open(snapshot: Snapshot, plan: BatchPlan, asked: Asked): HotAnswer {
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
    subject: whatWasAsked(op),
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
      subject: whatWasAsked(op),
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

/** Writes the decision down, whatever it is. */
export function record(
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
    subject: whatWasAsked(op),
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
function whatWasAsked(op: AskOperation): Record<string, unknown> {
  return { repo: op.repo?.name ?? null, purpose: op.purpose, contentDigest: op.contentDigest, parts: op.parts };
}

export function revokedRule({ lease, witness }: Extract<Verdict, { kind: 'revoked' }>): ShownRule {
  return {
    id: `lease-revoked:${lease.id}`,
    policy: null,
    version: null,
    effect: 'deny',
    reason: revokedSentence(lease, witness),
    paths: [witness],
  };
}

export function approvalRule(id: string, reason: string): ShownRule {
  return { id: `approval:${id}`, policy: null, version: null, effect: 'allow', reason, paths: [] };
}

export function rejectionRule(approval: ApprovalRow): ShownRule {
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
