import type { OrgTx } from '../../platform/database/database.ts';

/** A lease that an admin took back, told to its run. */
export interface Revocation {
  readonly leaseId: string;
  readonly detail: string;
}

const MOST_TOLD = 50;

/**
 * The leases of a run that were taken back, until the moment at which it would have thought them over anyway: an answer that
 * got lost is given again.
 */
export async function revocationsOf(
  { db, orgId }: Pick<OrgTx, 'db' | 'orgId'>,
  runId: string,
  now: Date,
): Promise<Revocation[]> {
  const rows = await db.$queryRaw<{ id: string; what: string[]; revoke_reason: string | null }[]>`
    SELECT l.id, (l.paths || l.patterns || l.resources)[1:5] AS what, l.revoke_reason FROM lease l
    WHERE l.org_id = ${orgId}::uuid AND l.run_id = ${runId}::uuid AND l.ended_at IS NOT NULL AND l.end_reason = 'revoked' AND l.expires_at > ${now}
    ORDER BY l.ended_at DESC LIMIT ${MOST_TOLD}`;
  return rows.map(({ id, what, revoke_reason: reason }) => ({
    leaseId: id,
    detail: `An admin revoked lease ${id} on ${what.join(', ')}: ${reason}`,
  }));
}
