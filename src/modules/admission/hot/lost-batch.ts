import type pg from 'pg';
import type { Clock } from '../../../platform/clock.ts';
import { borrowed } from '../../../platform/database/borrowed.ts';
import { unavailable } from '../../../platform/errors.ts';
import type { BatchPlan } from './plan.ts';
import { secondsMarked } from './time-mark.ts';

/** What a batch wrote: the seq of its first event, and the database's clock under its locks. */
export interface Written {
  readonly firstSeq: number;
  readonly at: Date;
}

/** Where in the log a batch's events can stand. `at` is inclusive. */
export interface Whereabouts {
  readonly orgId: string;
  /** Events up to this one are older. Null: only the newest of the log are looked at. */
  readonly afterSeq: number | null;
  readonly earliest: Date;
  readonly latest: Date;
}

const LOOK_EVERY_MS = 250;
const GIVE_UP_MS = 10_000;
/** As many as the busiest of orgs has in all the time that is looked. */
const NEWEST = 200_000;

/**
 * Looks again and again, on connections other than the one that was lost, until it is known what became of a batch. `look`
 * returns undefined while it may still take effect; one that fails is made again.
 * @throws Problem 503 when nobody could say: the caller's Idempotency-Key will.
 */
export async function untilKnown<T>(
  { pool, clock }: { readonly pool: pg.Pool; readonly clock: Clock },
  look: (client: pg.PoolClient) => Promise<T | undefined>,
): Promise<T> {
  const untilMs = clock.monotonicMs() + GIVE_UP_MS;
  while (clock.monotonicMs() < untilMs) {
    const found = await borrowed(pool, look).catch(() => undefined);
    if (found !== undefined) return found;
    await clock.sleep(LOOK_EVERY_MS);
  }
  throw unavailable(
    'The database was lost while this was committed; whether it took effect is not known. Retry with the same Idempotency-Key.',
  );
}

/**
 * Looks in the log for what a batch would have written, whose answer was lost: all its events, one behind the other. By what
 * they say, never by the id of a transaction: after a crash PostgreSQL gives ids again that were not on disk yet, so that
 * somebody else's commit would stand for one that was lost.
 * @returns null when it is not there, or says nothing to the log
 */
export async function findInLog(client: pg.PoolClient, plan: BatchPlan, where: Whereabouts): Promise<Written | null> {
  const wanted = plan.events.map(whatOf);
  if (wanted.length === 0) return null;
  const { rows } = await client.query<{ seq: string; at: Date; what: string }>(
    `SELECT e.seq, e.at, concat_ws(' ', e.kind, e.subject ->> 'id',
       CASE WHEN e.kind LIKE 'lease.%' THEN extract(epoch FROM (e.data ->> 'expiresAt')::timestamptz - e.at)::bigint END) AS what FROM event e
     WHERE e.org_id = $1 AND e.seq > coalesce($2, (SELECT h.seq - ${NEWEST} FROM org_head h WHERE h.org_id = $1))
       AND e.at BETWEEN $3 AND $4 ORDER BY e.seq`,
    [where.orgId, where.afterSeq, where.earliest, where.latest],
  );
  const first = rows.find((_, at) => wanted.every((what, offset) => rows[at + offset]?.what === what));
  return first === undefined ? null : { firstSeq: Number(first.seq), at: first.at };
}

/** What an event says, to be told from others: its kind, its subject, and of a lease for how many seconds. */
function whatOf(event: string): string {
  const { kind, subject, at, data } = JSON.parse(event) as {
    kind: string;
    subject: { id: string };
    at: string;
    data?: { expiresAt?: string };
  };
  const { expiresAt } = data ?? {};
  // Other kinds may have any other time there.
  if (expiresAt === undefined || !kind.startsWith('lease.')) return `${kind} ${subject.id}`;
  return `${kind} ${subject.id} ${secondsMarked(expiresAt) ?? Math.round((Date.parse(expiresAt) - Date.parse(at)) / 1000)}`;
}
