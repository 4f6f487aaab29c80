import type { OrgTx } from '../../platform/database/database.ts';
import type { Instruments } from '../../platform/telemetry/index.ts';
import type { ObservedRun, RunObserver } from '../loops/index.ts';
import { endLeases } from './end-leases.ts';
import { revocationsOf } from './revocations.ts';
import { secondsInLine } from './waiting/waiter.ts';

/** Told, after the commit, which leases and tickets are in nobody's way any more. */
export type OnFreed = (orgId: string, ids: readonly string[]) => void;

/**
 * What a run's life means for its leases: a heartbeat renews those that are live, and hears of those that an admin took
 * back; the end of the run ends them, and whatever it waits for. All lock the leases' repos first, as every grant does, so
 * that none of them races with a grant of the same path; and they leave alone what the run is given in any other repo
 * meanwhile. Such a lease is fresh, so it can do without this heartbeat; and of a run that has finished it is over anyway,
 * and swept.
 */
export function createLeaseObserver(onFreed: OnFreed, instruments: Pick<Instruments, 'waitEnded'>): RunObserver {
  return {
    lockRepos: lockReposOfRun,
    onHeartbeat: async (tx, run) => {
      await renewOfRun(tx, run);
      const revocations = await revocationsOf(tx, run.id, run.now);
      return revocations.map(({ detail }) => ({ code: 'lease_revoked', detail }));
    },
    onFinish: async (tx, run) => {
      const ended = await endOfRun(tx, run);
      const left = await leaveLine(tx, run, { reason: 'run_ended' }, instruments);
      tx.afterCommit(() => onFreed(tx.orgId, [...ended, ...left]));
    },
    onResume: async (tx, run, epoch) => {
      const freed = await leaveLine(tx, run, { reason: 'epoch_stale', epoch }, instruments);
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

interface Leaving {
  readonly reason: 'run_ended' | 'epoch_stale';
  /** Only what processes of another epoch have asked for; where they did not say which, it may be the new one's. */
  readonly epoch?: number;
}

/** Returns the tickets that ended. */
async function leaveLine(
  tx: OrgTx,
  { id: runId, repoIds, now }: ObservedRun,
  leaving: Leaving,
  instruments: Pick<Instruments, 'waitEnded'>,
): Promise<string[]> {
  const { reason, epoch = null } = leaving;
  const rows = await tx.db.$queryRaw<{ id: string; repo: string; queued_at: Date }[]>`
    UPDATE lease_waiter w SET status = 'ended', reason = ${reason}, settled_at = ${now}, blocked_by = NULL
    FROM repo p
    WHERE w.org_id = ${tx.orgId}::uuid AND w.run_id = ${runId}::uuid AND w.status = 'waiting'
      AND w.repo_id = ANY (${repoIds}::uuid[]) AND (${epoch}::int IS NULL OR w.epoch <> ${epoch}::int)
      AND p.org_id = w.org_id AND p.id = w.repo_id
    RETURNING w.id, p.name AS repo, w.queued_at`;
  const ids = rows.map(({ id }) => id);
  if (ids.length > 0) await tx.db.leaseWaiterKey.deleteMany({ where: { orgId: tx.orgId, waiterId: { in: ids } } });
  for (const { id, repo } of rows)
    tx.emit({ kind: 'lease.wait_ended', subject: { kind: 'ticket', id }, data: { repo, runId, reason } }, now);
  tx.afterCommit(() => {
    for (const { queued_at: since } of rows) instruments.waitEnded('ended', secondsInLine(since, now));
  });
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
