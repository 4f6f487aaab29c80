import type pg from 'pg';
import type { Clock } from '../../../../platform/clock.ts';
import { unavailable } from '../../../../platform/errors.ts';
import type { BatchPlan } from '../plan.ts';
import type { Snapshot } from '../snapshot.ts';

/** What a call wrote: the seq of its first event, and the database's clock under its locks. */
export interface Written {
  readonly firstSeq: number;
  readonly at: Date;
}

const LOOK_EVERY_MS = 250;
const GIVE_UP_MS = 10_000;

/**
 * What became of a call whose answer was lost with its connection. It has no transaction id that we would know; but it
 * holds its repos' locks from before it looks at the clock until it is committed, and gives up when it is late by then. So
 * whoever holds those locks himself, late enough, sees its rows or will never see them.
 * @returns null when it wrote nothing. @throws Problem 503 when the database did not answer for that long.
 */
export async function lostCallOutcome(
  deps: { readonly pool: pg.Pool; readonly clock: Clock },
  snapshot: Snapshot,
  plan: BatchPlan,
): Promise<Written | null> {
  const untilMs = deps.clock.monotonicMs() + GIVE_UP_MS;
  while (deps.clock.monotonicMs() < untilMs) {
    const found = await look(deps.pool, snapshot, plan).catch(() => undefined);
    if (found !== undefined) return found;
    await deps.clock.sleep(LOOK_EVERY_MS);
  }
  throw unavailable(
    'The database was lost while this was committed; whether it took effect is not known. Retry with the same Idempotency-Key.',
  );
}

/** Undefined while it may still come. Any row of the call tells of all of them. */
async function look(pool: pg.Pool, snapshot: Snapshot, plan: BatchPlan): Promise<Written | null | undefined> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN');
    await client.query(`SELECT set_config('signalbox.org_id', $1, true)`, [snapshot.orgId]);
    await client.query(`SELECT FROM repo WHERE org_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR NO KEY UPDATE`, [
      snapshot.orgId,
      [...snapshot.repos.keys()],
    ]);
    const { rows } = await client.query<{ fence: string | null; at: Date | null; late: boolean }>(
      `SELECT l.fence, coalesce(l.granted_at, d.at) AS at, clock_timestamp() > $4::timestamptz + interval '2 seconds' AS late
       FROM (SELECT) AS one
       LEFT JOIN lease l ON l.org_id = $1 AND l.id = $2
       LEFT JOIN decision d ON d.org_id = $1 AND d.id = $3`,
      [snapshot.orgId, plan.granted[0]?.lease.id ?? null, plan.firstDecisionId, snapshot.now],
    );
    await client.query('COMMIT');
    const { fence, at, late } = rows[0]!;
    // Without a lease no answer needs the seq.
    if (at !== null) return { at, firstSeq: fence === null ? 0 : Number(fence) - plan.granted[0]!.event };
    return late ? null : undefined;
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}
