import type pg from 'pg';
import type { Clock } from '../../../platform/clock.ts';
import { beginInOrg } from '../../../platform/database/in-org.ts';
import { isConnectionLoss, isTransient } from '../../../platform/database/sql-state.ts';
import { findInLog, untilKnown } from './lost-batch.ts';
import type { BatchPlan } from './plan.ts';
import type { Snapshot } from './snapshot.ts';

/** The connection broke around COMMIT and the transaction did not take effect: it is safe to decide again. */
export class LostCommit extends Error {
  override readonly name = 'LostCommit';
}

interface Lost {
  readonly xid: string;
  readonly snapshot: Snapshot;
  readonly plan: BatchPlan;
}

/**
 * Asks the database, on another connection, what became of a transaction whose COMMIT was not answered. Returns the seq of
 * its first event.
 * @throws LostCommit when it did not take effect, or told the log nothing and may be done again; Problem 503 when nobody
 *   could say: the caller's Idempotency-Key will.
 */
export async function outcomeOf(deps: { pool: pg.Pool; clock: Clock }, lost: Lost): Promise<number> {
  const seq = await untilKnown(deps, (client) => look(client, lost));
  if (seq === null) throw new LostCommit('the batch was lost when its connection broke');
  return seq;
}

/** Null when it did not take effect, undefined while it still may. */
async function look(client: pg.PoolClient, { xid, snapshot, plan }: Lost): Promise<number | null | undefined> {
  if (await isUnderWay(client, xid)) return undefined;
  const { orgId, seq, now } = snapshot;
  await beginInOrg(client, orgId);
  const written = await findInLog(client, plan, { orgId, afterSeq: seq, earliest: now, latest: now });
  await client.query('COMMIT');
  return written?.firstSeq ?? null;
}

/** An id that is unknown was lost in a crash: nothing of before that is under way. */
async function isUnderWay(client: pg.PoolClient, xid: string): Promise<boolean> {
  try {
    const { rows } = await client.query<{ status: string | null }>('SELECT pg_xact_status($1::xid8) AS status', [xid]);
    return rows[0]?.status === 'in progress';
  } catch (error) {
    if (isConnectionLoss(error) || isTransient(error)) throw error;
    return false;
  }
}
