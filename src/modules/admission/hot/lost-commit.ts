import type pg from 'pg';
import type { Clock } from '../../../platform/clock.ts';
import { unavailable } from '../../../platform/errors.ts';
import type { HeldLease } from '../../leases/index.ts';

/** The connection broke around COMMIT and the transaction did not take effect: it is safe to decide again. */
export class LostCommit extends Error {
  override readonly name = 'LostCommit';
}

const LOOK_EVERY_MS = 250;
const GIVE_UP_MS = 10_000;

interface Lost {
  readonly orgId: string;
  readonly xid: string;
  readonly granted: readonly { lease: HeldLease; event: number }[];
}

/**
 * Asks the database, on another connection, what became of a transaction whose COMMIT was not answered.
 * Returns the seq of its first event, or null when it wrote no lease (then no answer needs it).
 * @throws LostCommit when it rolled back; Problem 503 when nobody could say: the caller's Idempotency-Key will.
 */
export async function outcomeOf(deps: { pool: pg.Pool; clock: Clock }, lost: Lost): Promise<number | null> {
  const untilMs = deps.clock.monotonicMs() + GIVE_UP_MS;
  while (deps.clock.monotonicMs() < untilMs) {
    const status = await statusOf(deps.pool, lost.xid);
    if (status === 'aborted') throw new LostCommit('the batch was rolled back when its connection broke');
    if (status === 'committed') return firstSeqOf(deps.pool, lost);
    await deps.clock.sleep(LOOK_EVERY_MS);
  }
  throw unavailable(
    'The database was lost while this was committed; whether it took effect is not known. Retry with the same Idempotency-Key.',
  );
}

async function statusOf(pool: pg.Pool, xid: string): Promise<string | null> {
  try {
    const { rows } = await pool.query<{ status: string | null }>('SELECT pg_xact_status($1::xid8) AS status', [xid]);
    return rows[0]?.status ?? null;
  } catch {
    return null;
  }
}

/** From the row of any lease it granted: its fence is the seq of its event. */
async function firstSeqOf(pool: pg.Pool, { orgId, granted }: Lost): Promise<number | null> {
  const [first] = granted;
  if (first === undefined) return null;
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(`SELECT set_config('signalbox.org_id', $1, true)`, [orgId]);
    const { rows } = await client.query<{ fence: string }>('SELECT fence FROM lease WHERE org_id = $1 AND id = $2', [
      orgId,
      first.lease.id,
    ]);
    await client.query('COMMIT');
    return Number(rows[0]!.fence) - first.event;
  } finally {
    client.release();
  }
}
