import type pg from 'pg';
import type { Clock } from '../../../../platform/clock.ts';
import { beginInOrg } from '../../../../platform/database/in-org.ts';
import { findInLog, untilKnown, type Written } from '../lost-batch.ts';
import type { BatchPlan } from '../plan.ts';
import type { Snapshot } from '../snapshot.ts';

/** A call gives up when the database's clock is further than this from the time by which it was decided: `hot_once` has it too. */
export const LATE_MS = 1000;
/** By the same clock; more than enough, and no call is lost so often that the second would matter. */
export const SURELY_LATE_MS = 2 * LATE_MS;

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
  return untilKnown(deps, (client) => look(client, snapshot, plan));
}

/** Undefined while it may still come. */
async function look(client: pg.PoolClient, snapshot: Snapshot, plan: BatchPlan): Promise<Written | null | undefined> {
  await beginInOrg(client, snapshot.orgId);
  await client.query(`SELECT FROM repo WHERE org_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR NO KEY UPDATE`, [
    snapshot.orgId,
    [...snapshot.repos.keys()],
  ]);
  const { rows } = await client.query<{ late: boolean }>(`SELECT clock_timestamp() > $1::timestamptz AS late`, [
    new Date(snapshot.now.getTime() + SURELY_LATE_MS),
  ]);
  const decidedMs = snapshot.now.getTime();
  const written = await findInLog(client, plan, {
    orgId: snapshot.orgId,
    afterSeq: null,
    earliest: new Date(decidedMs - LATE_MS),
    latest: new Date(decidedMs + LATE_MS),
  });
  await client.query('COMMIT');
  if (written !== null) return written;
  return rows[0]!.late ? null : undefined;
}
