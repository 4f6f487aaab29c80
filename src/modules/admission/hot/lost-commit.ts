import type pg from 'pg';
import type { Clock } from '../../../platform/clock.ts';
import { isConnectionLoss, isTransient } from '../../../platform/database/sql-state.ts';
import { unavailable } from '../../../platform/errors.ts';
import { findInLog } from './lost-batch.ts';
import type { BatchPlan } from './plan.ts';
import type { Snapshot } from './snapshot.ts';

/** The connection broke around COMMIT and the transaction did not take effect: it is safe to decide again. */
export class LostCommit extends Error {
  override readonly name = 'LostCommit';
}

const LOOK_EVERY_MS = 250;
const GIVE_UP_MS = 10_000;

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
  const untilMs = deps.clock.monotonicMs() + GIVE_UP_MS;
  while (deps.clock.monotonicMs() < untilMs) {
    const seq = await look(deps.pool, lost).catch(() => undefined);
    if (seq === null) throw new LostCommit('the batch was lost when its connection broke');
    if (seq !== undefined) return seq;
    await deps.clock.sleep(LOOK_EVERY_MS);
  }
  throw unavailable(
    'The database was lost while this was committed; whether it took effect is not known. Retry with the same Idempotency-Key.',
  );
}

/** Null when it did not take effect, undefined while it still may. */
async function look(pool: pg.Pool, { xid, snapshot, plan }: Lost): Promise<number | null | undefined> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    if (await isUnderWay(client, xid)) return undefined;
    await client.query('BEGIN');
    await client.query(`SELECT set_config('signalbox.org_id', $1, true)`, [snapshot.orgId]);
    const { orgId, seq, now } = snapshot;
    const written = await findInLog(client, plan, { orgId, afterSeq: seq, earliest: now, latest: now });
    await client.query('COMMIT');
    return written?.firstSeq ?? null;
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
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
