import { z } from 'zod';
import type { Approval, Vote } from '../../generated/prisma/client.ts';
import type { OrgTx } from '../../platform/database/database.ts';
import { time, uuid } from '../../platform/http/schemas.ts';
import { SYSTEM_ID } from '../../platform/principal.ts';
import type { ApprovalRequirement } from './policy/index.ts';
import { type TeamsOf, tally, type Verdict } from './tally.ts';

export const APPROVAL_STATUSES = ['pending', 'approved', 'rejected', 'expired', 'spent'] as const;
export type ApprovalStatus = (typeof APPROVAL_STATUSES)[number];

export const VERDICTS = ['approve', 'reject'] as const;

const principalView = z.object({
  kind: z.enum(['member', 'key', 'system']),
  id: uuid(),
  name: z.string().nullable(),
});

const requirementView = z.object({
  policy: z.string(),
  ruleId: z.string(),
  team: z.string().nullable().describe('Null: any member or admin.'),
  count: z.int(),
  approved: z.int().describe('Votes that count for it so far.'),
  missing: z.int().describe('Votes it still needs.'),
});

export const approvalView = z
  .object({
    id: uuid(),
    status: z.enum(APPROVAL_STATUSES),
    action: z.string(),
    subject: z.record(z.string(), z.unknown()).describe('What was asked, whole.'),
    repo: z.string().nullable(),
    requirements: z.array(requirementView),
    rules: z.array(z.record(z.string(), z.unknown())).describe('The rules that asked for it, with their reasons.'),
    reason: z.string(),
    decisionId: uuid(),
    requester: principalView,
    owner: principalView.nullable().describe("The loop's owner."),
    loop: z.object({ id: uuid(), name: z.string() }).nullable(),
    runId: uuid().nullable(),
    votes: z.array(
      z.object({ principal: principalView, verdict: z.enum(VERDICTS), comment: z.string().nullable(), at: time() }),
    ),
    createdAt: time(),
    expiresAt: time(),
    settledAt: time().nullable(),
    spentAt: time().nullable(),
  })
  .meta({ id: 'Approval' });

export type ApprovalView = z.output<typeof approvalView>;
type PrincipalView = z.output<typeof principalView>;
type ReadTx = Pick<OrgTx, 'db' | 'orgId' | 'now'>;

/** The status as of `now`: one whose time has passed is expired, whether or not a sweep has come by. */
export function statusAt({ status, expiresAt }: { status: string; expiresAt: Date }, now: Date): ApprovalStatus {
  const isOpen = status === 'pending' || status === 'approved';
  return isOpen && expiresAt <= now ? 'expired' : (status as ApprovalStatus);
}

/** Approvals as answers show them, in the order given: a fixed number of queries, however many there are. */
export async function viewApprovals(
  tx: ReadTx,
  approvals: readonly Approval[],
  now: Date = tx.now,
): Promise<ApprovalView[]> {
  const ids = approvals.map(({ id }) => id);
  const votes = await tx.db.vote.findMany({
    where: { orgId: tx.orgId, approvalId: { in: ids } },
    orderBy: [{ at: 'asc' }, { principalId: 'asc' }],
  });
  const voters = votes.map(({ principalId }) => principalId);
  const teamsOf = await teamsOfPrincipals(tx, voters);
  const people = await principals(tx, [
    ...voters,
    ...approvals.flatMap(({ requesterId, ownerId }) => (ownerId === null ? [requesterId] : [requesterId, ownerId])),
  ]);
  const loops = await loopNames(tx, approvals);
  return approvals.map((approval) => {
    const own = votes.filter(({ approvalId }) => approvalId === approval.id);
    return viewApproval(approval, { votes: own, teamsOf, people, loops, now });
  });
}

interface Around {
  readonly votes: readonly Vote[];
  readonly teamsOf: TeamsOf;
  readonly people: (id: string) => PrincipalView;
  readonly loops: ReadonlyMap<string, string>;
  readonly now: Date;
}

function viewApproval(approval: Approval, { votes, teamsOf, people, loops, now }: Around): ApprovalView {
  const subject = approval.subject as Record<string, unknown>;
  const { requirements } = tally(requirementsOf(approval), votes.map(toCast), teamsOf);
  return {
    id: approval.id,
    status: statusAt(approval, now),
    action: approval.action,
    subject,
    repo: typeof subject['repo'] === 'string' ? subject['repo'] : null,
    requirements: requirements.map((requirement) => ({ ...requirement })),
    rules: approval.rules as Record<string, unknown>[],
    reason: approval.reason,
    decisionId: approval.decisionId,
    requester: people(approval.requesterId),
    owner: approval.ownerId === null ? null : people(approval.ownerId),
    loop: approval.loopId === null ? null : { id: approval.loopId, name: loops.get(approval.loopId) ?? '' },
    runId: approval.runId,
    votes: votes.map((vote) => ({
      principal: people(vote.principalId),
      verdict: vote.verdict as Verdict,
      comment: vote.comment,
      at: vote.at.toISOString(),
    })),
    createdAt: approval.createdAt.toISOString(),
    expiresAt: approval.expiresAt.toISOString(),
    settledAt: approval.settledAt?.toISOString() ?? null,
    spentAt: approval.spentAt?.toISOString() ?? null,
  };
}

export function requirementsOf(approval: Pick<Approval, 'requirements'>): ApprovalRequirement[] {
  return approval.requirements as unknown as ApprovalRequirement[];
}

export function toCast(vote: Pick<Vote, 'principalId' | 'verdict'>): { principalId: string; verdict: Verdict } {
  return { principalId: vote.principalId, verdict: vote.verdict as Verdict };
}

/** The names of the teams that each of these principals is in now. */
export async function teamsOfPrincipals(tx: Pick<OrgTx, 'db' | 'orgId'>, ids: readonly string[]): Promise<TeamsOf> {
  const rows = await tx.db.$queryRaw<{ id: string; name: string }[]>`
    SELECT m.member_id::text AS id, t.name FROM team_member m
    JOIN team t ON t.org_id = m.org_id AND t.id = m.team_id
    WHERE m.org_id = ${tx.orgId}::uuid AND m.member_id = ANY (${[...new Set(ids)]}::uuid[])`;
  const teams = new Map<string, string[]>();
  for (const { id, name } of rows) teams.set(id, [...(teams.get(id) ?? []), name]);
  return (id) => teams.get(id) ?? [];
}

async function principals(tx: ReadTx, ids: readonly string[]): Promise<(id: string) => PrincipalView> {
  const where = { orgId: tx.orgId, id: { in: [...new Set(ids)] } };
  const members = await tx.db.member.findMany({ where, select: { id: true, name: true } });
  const keys = await tx.db.apiKey.findMany({ where, select: { id: true, name: true } });
  const known = new Map<string, PrincipalView>([
    ...keys.map(({ id, name }): [string, PrincipalView] => [id, { kind: 'key', id, name }]),
    ...members.map(({ id, name }): [string, PrincipalView] => [id, { kind: 'member', id, name }]),
  ]);
  return (id) => known.get(id) ?? { kind: id === SYSTEM_ID ? 'system' : 'key', id, name: null };
}

async function loopNames(tx: ReadTx, approvals: readonly Approval[]): Promise<ReadonlyMap<string, string>> {
  const ids = approvals.flatMap(({ loopId }) => (loopId === null ? [] : [loopId]));
  const loops = await tx.db.loop.findMany({
    where: { orgId: tx.orgId, id: { in: ids } },
    select: { id: true, name: true },
  });
  return new Map(loops.map(({ id, name }) => [id, name]));
}
