import type { OrgTx } from '../../platform/database/database.ts';

/** Ends open leases, with their events. The caller has locked their repos, and read the clock after that. */
export async function endLeases(
  tx: OrgTx,
  ids: readonly string[],
  reason: 'run_ended' | 'expired',
  now: Date,
): Promise<void> {
  if (ids.length === 0) return;
  const ended = await tx.db.$queryRaw<{ id: string; fence: bigint; run_id: string; repo: string }[]>`
    UPDATE lease l SET ended_at = ${now}, end_reason = ${reason} FROM repo p
    WHERE l.org_id = ${tx.orgId}::uuid AND l.id = ANY (${ids}::uuid[]) AND l.ended_at IS NULL AND p.org_id = l.org_id AND p.id = l.repo_id
    RETURNING l.id, l.fence, l.run_id, p.name AS repo`;
  await tx.db.leaseKey.deleteMany({ where: { orgId: tx.orgId, leaseId: { in: [...ids] } } });
  for (const { id, fence, run_id: runId, repo } of ended) {
    tx.emit(
      { kind: 'lease.ended', subject: { kind: 'lease', id }, data: { fence: Number(fence), reason, repo, runId } },
      now,
    );
  }
}
