import type pg from 'pg';
import { secondsMarked } from './one-call/call.ts';
import type { BatchPlan } from './plan.ts';

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

const NEWEST = 20_000;

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
       extract(epoch FROM (e.data ->> 'expiresAt')::timestamptz - e.at)::int) AS what FROM event e
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
  if (expiresAt === undefined) return `${kind} ${subject.id}`;
  return `${kind} ${subject.id} ${secondsMarked(expiresAt) ?? Math.round((Date.parse(expiresAt) - Date.parse(at)) / 1000)}`;
}
