import type { Database, OrgTx } from '../../platform/database/database.ts';
import { systemPrincipal } from '../../platform/principal.ts';
import type { ObservedRun, RunNotice, RunObserver } from '../loops/index.ts';
import { lockDelayOf } from './service.ts';

/** Leases one pass of housekeeping ends at most; the next pass takes the rest. */
const SWEEP_LIMIT = 500;

/** Told, after the commit, which leases and tickets are in nobody's way any more. */
export type OnFreed = (orgId: string, ids: readonly string[]) => void;

/**
 * What a run's life means for its leases: a heartbeat renews those that are live, and hears of those that an admin took
 * back; the end of the run ends them, and whatever it waits for. All lock the leases' repos first, as every grant does, so
 * that none of them races with a grant of the same path; and they leave alone what the run is given in any other repo
 * meanwhile. Such a lease is fresh, so it can do without this heartbeat; and of a run that has finished it is over anyway,
 * and swept.
 */
export function createLeaseObserver(onFreed: OnFreed): RunObserver {
  return {
    lockRepos: lockReposOfRun,
    onHeartbeat: async (tx, run) => {
      await renewOfRun(tx, run);
      return revokedOfRun(tx, run);
    },
    onFinish: async (tx, run) => {
      const freed = [...(await endOfRun(tx, run)), ...(await leaveLine(tx, run))];
      tx.afterCommit(() => onFreed(tx.orgId, freed));
    },
  };
}

async function lockReposOfRun(tx: OrgTx, runId: string): Promise<string[]> {
  const rows = await tx.db.$queryRaw<{ id: string }[]>`
    SELECT p.id FROM repo p WHERE p.org_id = ${tx.orgId}::uuid AND p.id IN (
      SELECT l.repo_id FROM lease l WHERE l.org_id = ${tx.orgId}::uuid AND l.run_id = ${runId}::uuid AND l.ended_at IS NULL
      UNION SELECT w.repo_id FROM lease_waiter w WHERE w.org_id = ${tx.orgId}::uuid AND w.run_id = ${runId}::uuid AND w.status = 'waiting')
    ORDER BY p.id FOR NO KEY UPDATE`;
  return rows.map(({ id }) => id);
}

/** Until the moment at which the holder would have thought them over anyway: an answer that got lost is given again. */
async function revokedOfRun(tx: OrgTx, { id: runId, now }: ObservedRun): Promise<RunNotice[]> {
  const rows = await tx.db.$queryRaw<{ id: string; what: string[]; revoke_reason: string | null }[]>`
    SELECT l.id, (l.paths || l.patterns || l.resources)[1:5] AS what, l.revoke_reason FROM lease l
    WHERE l.org_id = ${tx.orgId}::uuid AND l.run_id = ${runId}::uuid AND l.ended_at IS NOT NULL AND l.end_reason = 'revoked' AND l.expires_at > ${now}
    ORDER BY l.ended_at DESC LIMIT 50`;
  return rows.map(({ id, what, revoke_reason: reason }) => ({
    code: 'lease_revoked',
    detail: `An admin revoked lease ${id} on ${what.join(', ')}: ${reason}`,
  }));
}

/** Returns the tickets that ended. */
async function leaveLine(tx: OrgTx, { id: runId, repoIds, now }: ObservedRun): Promise<string[]> {
  const rows = await tx.db.$queryRaw<{ id: string }[]>`
    UPDATE lease_waiter SET status = 'ended', reason = 'run_ended', settled_at = ${now}, blocked_by = NULL
    WHERE org_id = ${tx.orgId}::uuid AND run_id = ${runId}::uuid AND status = 'waiting'
      AND repo_id = ANY (${repoIds}::uuid[]) RETURNING id`;
  const ids = rows.map(({ id }) => id);
  if (ids.length > 0) await tx.db.leaseWaiterKey.deleteMany({ where: { orgId: tx.orgId, waiterId: { in: ids } } });
  for (const id of ids)
    tx.emit({ kind: 'lease.wait_ended', subject: { kind: 'ticket', id }, data: { reason: 'run_ended', runId } }, now);
  return ids;
}

/** An expired lease stays expired: its path may be somebody else's by now. */
async function renewOfRun(tx: OrgTx, { id: runId, repoIds, now }: ObservedRun): Promise<void> {
  const rows = await tx.db.$queryRaw<{ id: string; fence: bigint; expires_at: Date }[]>`
    UPDATE lease SET expires_at = greatest(expires_at, ${now}::timestamptz + make_interval(secs => ttl_seconds))
    WHERE org_id = ${tx.orgId}::uuid AND run_id = ${runId}::uuid AND ended_at IS NULL
      AND repo_id = ANY (${repoIds}::uuid[]) AND expires_at > ${now}
    RETURNING id, fence, expires_at`;
  for (const { id, fence, expires_at: expiresAt } of rows) {
    tx.emit(
      {
        kind: 'lease.renewed',
        subject: { kind: 'lease', id },
        data: { fence: Number(fence), expiresAt: expiresAt.toISOString() },
      },
      now,
    );
  }
}

/** Returns the leases that ended. */
async function endOfRun(tx: OrgTx, { id: runId, repoIds, now }: ObservedRun): Promise<string[]> {
  const rows = await tx.db.$queryRaw<{ id: string }[]>`
    SELECT id FROM lease WHERE org_id = ${tx.orgId}::uuid AND run_id = ${runId}::uuid AND ended_at IS NULL
      AND repo_id = ANY (${repoIds}::uuid[])`;
  const ids = rows.map(({ id }) => id);
  await endLeases(tx, ids, 'run_ended', now);
  return ids;
}

/** The caller has locked their repos. */
async function endLeases(tx: OrgTx, ids: readonly string[], reason: 'run_ended' | 'expired', now: Date): Promise<void> {
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

/**
 * Ends the rows of leases that are over: expired with their lock delay past, or granted at the very moment in which their
 * run finished. Nothing depends on it but the size of the index; a grant that comes first ends them itself.
 */
export async function sweepLeases(db: Database, orgId: string, onFreed: OnFreed): Promise<void> {
  await db.write(systemPrincipal(orgId), async (tx) => {
    await forgetRevoked(tx);
    const lockDelay = await lockDelayOf(tx);
    const due = await tx.db.$queryRaw<{ id: string; repo_id: string }[]>`
      WITH finished AS MATERIALIZED (
        SELECT q.run_id FROM (SELECT DISTINCT x.run_id FROM lease x WHERE x.org_id = ${orgId}::uuid AND x.ended_at IS NULL) q
        CROSS JOIN LATERAL (SELECT x.status FROM run x WHERE x.org_id = ${orgId}::uuid AND x.id = q.run_id OFFSET 0) r
        WHERE r.status = 'finished')
      SELECT l.id, l.repo_id FROM lease l
      WHERE l.org_id = ${orgId}::uuid AND l.ended_at IS NULL
        AND (l.expires_at < clock_timestamp() - make_interval(secs => ${lockDelay}::int)
          OR l.run_id = ANY (ARRAY(SELECT f.run_id FROM finished f)))
      ORDER BY l.expires_at LIMIT ${SWEEP_LIMIT}`;
    if (due.length === 0) return;
    const repoIds = [...new Set(due.map((row) => row.repo_id))];
    await tx.db
      .$queryRaw`SELECT id FROM repo WHERE org_id = ${orgId}::uuid AND id = ANY (${repoIds}::uuid[]) ORDER BY id FOR NO KEY UPDATE`;
    // Looked at again under the lock: a renewal may have come first.
    const now = await tx.clock();
    const over = await tx.db.$queryRaw<{ id: string; finished: boolean }[]>`
      SELECT l.id, r.status = 'finished' AS finished FROM lease l JOIN run r ON r.org_id = l.org_id AND r.id = l.run_id
      WHERE l.org_id = ${orgId}::uuid AND l.id = ANY (${due.map(({ id }) => id)}::uuid[]) AND l.ended_at IS NULL
        AND (r.status = 'finished' OR l.expires_at < ${now}::timestamptz - make_interval(secs => ${lockDelay}::int))`;
    const idsWhere = (finished: boolean) => over.filter((row) => row.finished === finished).map(({ id }) => id);
    await endLeases(tx, idsWhere(true), 'run_ended', now);
    await endLeases(tx, idsWhere(false), 'expired', now);
    tx.afterCommit(() =>
      onFreed(
        orgId,
        over.map(({ id }) => id),
      ),
    );
  });
}

/** Revoked leases are found until they would have expired, so that their runs do not take them back; then no more. */
async function forgetRevoked(tx: OrgTx): Promise<void> {
  await tx.db.$executeRaw`
    DELETE FROM lease_key k WHERE k.org_id = ${tx.orgId}::uuid AND k.lease_id IN (
      SELECT l.id FROM lease l WHERE l.org_id = ${tx.orgId}::uuid AND l.end_reason = 'revoked'
        AND l.expires_at BETWEEN clock_timestamp() - interval '7 days' AND clock_timestamp() LIMIT ${SWEEP_LIMIT})`;
}
