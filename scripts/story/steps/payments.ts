import type { Cast } from '../cast.ts';
import { expectThat } from '../check.ts';
import { land } from '../land.ts';
import { type Policy, publish } from '../publish.ts';
import type { Landed, Stage } from '../world.ts';

const PATHS = ['services/payments/ledger.ts', 'services/payments/rounding.ts'];
/** What stands in the way of editing them, as answers and chains show it. */
const RULE = 'payments-need-a-human';
const REASON = 'Payments code moves money; a person looks first.';

/** What the policy had to do with the change: for whoever traces it back. */
export interface Approved {
  readonly change: Landed;
  readonly approvalId: string;
  /** The decision that let it pass. */
  readonly decisionId: string;
  /** The policy's rule that asked for a human. */
  readonly rule: { readonly id: string; readonly policy: string; readonly reason: string };
  readonly leaseId: string;
}

/** An edit of payments is held for a human who is not the asker; once approved, the retry passes, once. */
export async function askAHuman(stage: Stage, cast: Cast): Promise<Approved> {
  const { names } = stage;
  const { ben, cleo, refactoring } = cast;
  await publish(stage, policyOf(stage), 0);

  const edit = { repo: names.repo, runId: refactoring.run.id, action: 'path.edit', paths: PATHS };
  const rule = { id: RULE, policy: names.paymentsPolicy, reason: REASON };
  const held = {
    outcome: 'require_approval',
    decision: { outcome: 'require_approval', rules: [{ ...rule, version: 1 }] },
  };
  const { decision } = await ben.post('/admissions', edit, { status: 200, body: held });
  const { approvalId } = decision;
  await stage.seen('decision.recorded', decision.id);
  await stage.seen('approval.opened', approvalId);
  const votes = `/approvals/${approvalId}/votes`;
  await ben.post(votes, { verdict: 'approve' }, { status: 403, body: { code: 'own_request' } });
  await stage.say(ben.name, 'refused: whoever asked cannot approve');
  await ben.post('/admissions', edit, { status: 200, body: { ...held, decision: { approvalId } } });
  const vote = { verdict: 'approve', comment: 'Rounding looks right.' };
  await cleo.post(votes, vote, { status: 200, body: { status: 'approved', requester: { id: ben.memberId } } });
  await stage.seen('approval.approved', approvalId);

  const allow = { outcome: 'allow', decision: { outcome: 'allow', approvalId }, lease: { paths: PATHS } };
  const passed = await ben.post('/admissions', edit, { status: 200, body: allow });
  await stage.seen('approval.spent', approvalId);
  await stage.seen('lease.granted', passed.lease.id);
  const change = await land(stage, refactoring, 'Round half to even', {
    [PATHS[0]!]: "import { round } from './rounding.ts';\nexport const post = (cents: number) => round(cents);\n",
    [PATHS[1]!]: 'export const round = (value: number) => 2 * Math.round(value / 2);\n',
  });
  await expectSpent(stage, cast, { edit, held, approvalId, lease: passed.lease });
  return { change, approvalId, decisionId: passed.decision.id, leaseId: passed.lease.id, rule };
}

/** The same question again, without the lease that the approval gave: it needs another approval. */
async function expectSpent(
  stage: Stage,
  { ben, cleo }: Cast,
  asked: { edit: object; held: object; approvalId: string; lease: { id: string; fence: number } },
): Promise<void> {
  const { id, fence } = asked.lease;
  await ben.post(`/leases/${id}/release`, { fence }, { status: 200 });
  await stage.seen('lease.released', id);
  const { decision } = await ben.post('/admissions', asked.edit, { status: 200, body: asked.held });
  expectThat(decision.approvalId !== asked.approvalId, 'another approval for the next edit, the first one being spent');
  await stage.seen('approval.opened', decision.approvalId);
  await stage.say(ben.name, 'held again: the approval was good for one edit');
  const vote = { verdict: 'reject', comment: 'One change at a time.' };
  await cleo.post(`/approvals/${decision.approvalId}/votes`, vote, { status: 200, body: { status: 'rejected' } });
  await ben.get(`/approvals/${asked.approvalId}`, { status: 200, body: { status: 'spent' } });
}

function policyOf({ names }: Stage): Policy {
  return {
    name: names.paymentsPolicy,
    defaults: { 'path.edit': 'allow', 'path.delete': 'allow' },
    rules: [
      {
        id: RULE,
        effect: 'require_approval',
        actions: ['path.edit', 'path.delete'],
        where: { repo: names.repo, path: { $glob: 'services/payments/**' } },
        approvers: { team: names.paymentsTeam, count: 1 },
        reason: REASON,
      },
    ],
  };
}
