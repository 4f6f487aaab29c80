import type { Database, OrgTx } from '../../platform/database/database.ts';
import { systemPrincipal } from '../../platform/principal.ts';
import { settingsOf } from '../identity/index.ts';

/** How many runs one sweep of an org marks; the next one goes on. */
const SWEEP_SIZE = 500;

/**
 * Notes that a run was heard of, and revives it if it had stalled. Any call that names a run is a beat, so one within
 * `BEAT_EVERY_SECONDS` of the last writes nothing. A finished run stays finished.
 */
export async function beat(tx: OrgTx, runId: string): Promise<void> {
  // The row is locked only when it is due: a lock is a write, too.
  const rows = await tx.db.$queryRaw<{ was: string }[]>`
    WITH due AS (
      SELECT org_id, id, status FROM run
      WHERE org_id = ${tx.orgId}::uuid AND id = ${runId}::uuid
        AND (status = 'stalled'
          OR (status = 'running' AND last_beat_at <= clock_timestamp() - make_interval(secs => ${BEAT_EVERY_SECONDS}::int)))
      FOR UPDATE
    )
    UPDATE run SET status = 'running', last_beat_at = clock_timestamp()
    FROM due WHERE run.org_id = due.org_id AND run.id = due.id
    RETURNING due.status AS was`;
  if (rows[0]?.was === 'stalled') tx.emit(revived(runId));
}

/** As `beat`, of many runs at once; one whose row another transaction has locked is left out. */
export async function beatAll(tx: OrgTx, runIds: readonly string[]): Promise<void> {
  const rows = await tx.db.$queryRaw<{ id: string; was: string }[]>`
    WITH due AS (
      SELECT org_id, id, status FROM run
      WHERE org_id = ${tx.orgId}::uuid AND id = ANY (${runIds}::uuid[])
        AND (status = 'stalled'
          OR (status = 'running' AND last_beat_at <= clock_timestamp() - make_interval(secs => ${BEAT_EVERY_SECONDS}::int)))
      ORDER BY id FOR UPDATE SKIP LOCKED
    )
    UPDATE run SET status = 'running', last_beat_at = clock_timestamp()
    FROM due WHERE run.org_id = due.org_id AND run.id = due.id
    RETURNING run.id, due.status AS was`;
  for (const { id, was } of rows) if (was === 'stalled') tx.emit(revived(id));
}

/** The resolution of `last_beat_at`; far below the shortest `stallSeconds`. */
export const BEAT_EVERY_SECONDS = 5;

export const revived = (runId: string) => ({ kind: 'run.revived', subject: { kind: 'run', id: runId } });

/** The org's `stallSeconds` as it stands now. */
export async function stallSecondsOf(tx: Pick<OrgTx, 'db' | 'orgId'>): Promise<number> {
  const org = await tx.db.org.findUniqueOrThrow({ where: { id: tx.orgId }, select: { settings: true } });
  return settingsOf(org.settings).stallSeconds;
}

/**
 * Marks an org's silent runs as stalled, by the database's clock. Several servers may sweep at once: a run that another
 * one, or a heartbeat, holds is left to it.
 * @returns how many were marked
 */
export async function sweepStalled(db: Database, orgId: string): Promise<number> {
  return db.write(systemPrincipal(orgId), async (tx) => {
    const stallSeconds = await stallSecondsOf(tx);
    const rows = await tx.db.$queryRaw<{ id: string; loop_id: string; last_beat_at: Date }[]>`
      UPDATE run SET status = 'stalled'
      WHERE org_id = ${orgId}::uuid AND id IN (
        SELECT id FROM run
        WHERE org_id = ${orgId}::uuid AND status = 'running'
          AND last_beat_at <= clock_timestamp() - make_interval(secs => ${stallSeconds}::int)
        ORDER BY last_beat_at LIMIT ${SWEEP_SIZE}::int FOR UPDATE SKIP LOCKED)
      RETURNING id, loop_id, last_beat_at`;
    for (const row of rows) {
      const data = { loopId: row.loop_id, lastBeatAt: row.last_beat_at.toISOString(), stallSeconds };
      tx.emit({ kind: 'run.stalled', subject: { kind: 'run', id: row.id }, data });
    }
    return rows.length;
  });
}
