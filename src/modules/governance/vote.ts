import type { Approval } from '../../generated/prisma/client.ts';
import type { Database, OrgTx } from '../../platform/database/database.ts';
import { conflict, forbidden, notFound, type Problem } from '../../platform/errors.ts';
import { principalId, systemPrincipal } from '../../platform/principal.ts';
import {
  type ApprovalStatus,
  type ApprovalView,
  requirementsOf,
  statusAt,
  teamsOfPrincipals,
  toCast,
  viewApprovals,
} from './approval-views.ts';
import { tally, type Verdict, whyNoVote } from './tally.ts';

export interface Ballot {
  readonly verdict: Verdict;
  readonly comment: string | null;
}

/** The approval's time has passed and nobody has written so: that is another transaction than the refused vote. */
export class ApprovalDue extends Error {
  override readonly name = 'ApprovalDue';
}

/**
 * Records a vote and settles the approval if that is what it takes. The approval's row is locked first, so that of two
 * votes at once the second one sees the first.
 * @throws Problem 404; 403 `own_request`, `not_an_approver`; 409 `already_voted`, `approval_settled`; ApprovalDue
 */
export async function castVote(tx: OrgTx, id: string, { verdict, comment }: Ballot): Promise<ApprovalView> {
  const approval = await lockApproval(tx, id);
  const voterId = principalId(tx.principal);
  const now = await tx.clock();
  await demandMayVote(tx, approval, voterId);
  const votes = await tx.db.vote.findMany({ where: { orgId: tx.orgId, approvalId: id } });
  const own = votes.find((vote) => vote.principalId === voterId);
  if (own !== undefined && own.verdict !== verdict)
    throw conflict('already_voted', `You have voted already: ${own.verdict}.`);
  const status = statusAt(approval, now);
  // The same vote again, its answer lost perhaps, is answered with what has become of it.
  if (own !== undefined && status !== 'pending') return one(tx, approval, now);
  if (status !== 'pending') throw status === approval.status ? approvalSettled(status) : new ApprovalDue();
  if (own === undefined) {
    votes.push(
      await tx.db.vote.create({
        data: { orgId: tx.orgId, approvalId: id, principalId: voterId, verdict, comment, at: now },
      }),
    );
    tx.emit({ kind: 'approval.voted', subject: { kind: 'approval', id }, data: { verdict, comment } }, now);
  }
  const teamsOf = await teamsOfPrincipals(
    tx,
    votes.map((vote) => vote.principalId),
  );
  const { outcome } = tally(requirementsOf(approval), votes.map(toCast), teamsOf);
  return one(tx, outcome === 'pending' ? approval : await settle(tx, approval, outcome, now), now);
}

export function approvalSettled(status: ApprovalStatus): Problem {
  return conflict('approval_settled', `This approval is ${status}: it takes no more votes.`, {
    approvalStatus: status,
  });
}

async function lockApproval(tx: OrgTx, id: string): Promise<Approval> {
  await tx.db.$queryRaw`SELECT id FROM approval WHERE org_id = ${tx.orgId}::uuid AND id = ${id}::uuid FOR UPDATE`;
  const approval = await tx.db.approval.findUnique({ where: { orgId_id: { orgId: tx.orgId, id } } });
  if (approval === null) throw notFound('approval');
  return approval;
}

const REFUSALS = {
  own_request: 'Whoever asked, and the owner of the loop that asked, cannot vote on it.',
  not_an_approver: 'Your vote would count for none of the requirements of this approval.',
} as const;

async function demandMayVote(tx: OrgTx, approval: Approval, voterId: string): Promise<void> {
  const teams = (await teamsOfPrincipals(tx, [voterId]))(voterId);
  const { role, loopId } = tx.principal;
  const { requesterId, ownerId } = approval;
  const refusal = whyNoVote(
    { requesterId, ownerId, requirements: requirementsOf(approval) },
    { principalId: voterId, role, loopId, teams },
  );
  if (refusal !== null) throw forbidden(REFUSALS[refusal], refusal);
}

async function settle(tx: OrgTx, approval: Approval, outcome: 'approved' | 'rejected', now: Date): Promise<Approval> {
  const settled = await tx.db.approval.update({
    where: { orgId_id: { orgId: tx.orgId, id: approval.id } },
    data: { status: outcome, settledAt: now },
  });
  tx.emit(
    {
      kind: `approval.${outcome}`,
      subject: { kind: 'approval', id: approval.id },
      data: { action: approval.action, runId: approval.runId, loopId: approval.loopId },
    },
    now,
  );
  return settled;
}

async function one(tx: OrgTx, approval: Approval, now: Date): Promise<ApprovalView> {
  const [view] = await viewApprovals(tx, [approval], now);
  return view!;
}

/** How many approvals one sweep of an org expires; the next one goes on. */
const SWEEP_SIZE = 500;

/**
 * Writes down that approvals have run out, by the database's clock, and lets their digests be asked about anew. Several
 * servers may sweep at once: what another one, a vote or a decision holds is left to it.
 * @param only the one approval to look at; without it, all of the org
 * @returns how many
 */
export async function sweepApprovals(db: Database, orgId: string, only: string | null = null): Promise<number> {
  return db.write(systemPrincipal(orgId), async (tx) => {
    const rows = await tx.db.$queryRaw<{ id: string; was: string }[]>`
      WITH due AS (
        SELECT id, status FROM approval
        WHERE org_id = ${orgId}::uuid AND status IN ('pending', 'approved') AND expires_at <= clock_timestamp()
          AND (${only}::uuid IS NULL OR id = ${only}::uuid)
        ORDER BY id LIMIT ${SWEEP_SIZE}::int FOR UPDATE SKIP LOCKED
      )
      UPDATE approval a SET status = 'expired', settled_at = coalesce(a.settled_at, clock_timestamp())
      FROM due WHERE a.org_id = ${orgId}::uuid AND a.id = due.id
      RETURNING a.id::text AS id, due.status AS was`;
    for (const { id, was } of rows) {
      tx.emit({ kind: 'approval.expired', subject: { kind: 'approval', id }, data: { was } });
    }
    return rows.length;
  });
}
