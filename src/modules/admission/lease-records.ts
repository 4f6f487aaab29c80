import { Prisma } from '../../generated/prisma/client.ts';
import type { LeaseRecord, ReadLeases } from '../changes/index.ts';
import { HELD_LEASE, type HeldLeaseRow, pathsAndPatterns, toHeldLease } from '../leases/index.ts';

const heldLease = Prisma.raw(HELD_LEASE);

/** Leases as the change ledger judges them: what each covered, and from when to when. */
export const readLeaseRecords: ReadLeases = async (tx, ids) => {
  const rows = await tx.db.$queryRaw<HeldLeaseRow[]>`
    ${heldLease} WHERE l.org_id = ${tx.orgId}::uuid AND l.id = ANY (${ids}::uuid[])`;
  return rows.map(toRecord);
};

function toRecord(row: HeldLeaseRow): LeaseRecord {
  const lease = toHeldLease(row);
  const { endsAt, endedEarly } = endOf(row);
  return {
    id: lease.id,
    repoId: lease.repoId,
    runId: lease.runId,
    loopId: lease.loopId,
    ownerId: lease.holder.owner.id,
    fence: Number(row.fence),
    matchers: pathsAndPatterns(lease.matchers),
    grantedAt: lease.grantedAt,
    endsAt,
    endedEarly,
  };
}

/** Its row may say an end later than its expiry (a sweep came by), and says none for a grant that its run outran. */
function endOf(row: HeldLeaseRow): { endsAt: Date; endedEarly: boolean } {
  if (row.ended_at !== null && row.ended_at < row.expires_at) return { endsAt: row.ended_at, endedEarly: true };
  if (row.ended_at === null && row.run_finished) return { endsAt: row.granted_at, endedEarly: true };
  return { endsAt: row.expires_at, endedEarly: false };
}
