import { withClient } from './rig/postgres.ts';
import type { FollowedEvent } from './workload/follower.ts';
import type { Operation } from './workload/history.ts';

/** All that is known of a campaign: what clients saw, what a reader saw, and what the tables say. */
export interface Evidence {
  readonly history: readonly Operation[];
  /** The log as the table has it, in order. */
  readonly events: readonly LoggedEvent[];
  readonly leases: readonly LeaseRow[];
  readonly waiters: readonly WaiterRow[];
  /** What a reader got who followed throughout, in the order it came. */
  readonly followed: readonly FollowedEvent[];
  /** When, by the machine's clock, PostgreSQL's was set back, which is the same but for that. */
  readonly setBacks: readonly { readonly fromMs: number; readonly toMs: number; readonly byMs: number }[];
  /** When the nemesis had ended, by the campaign's clock. */
  readonly calmMs: number;
  readonly lockDelaySeconds: number;
  /** Runs that still waited long after everybody had given back what they held. */
  readonly forgotten: readonly string[];
  /** Runs that could not be ended in time after that. */
  readonly unfinished: readonly string[];
}

export interface LoggedEvent {
  readonly seq: number;
  /** Milliseconds of PostgreSQL's clock. */
  readonly atMs: number;
  readonly kind: string;
  readonly subjectId: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly hash: string;
}

export interface LeaseRow {
  readonly id: string;
  readonly fence: number;
  readonly runId: string;
  readonly repo: string;
  readonly expiresAtMs: number;
  readonly ended: boolean;
  readonly endReason: string | null;
  /** Entries of the index that make it found by others. */
  readonly keys: number;
}

export interface WaiterRow {
  readonly id: string;
  readonly runId: string;
  /** `admission`: a place that is kept only as long as its request is held open, and a little longer. */
  readonly kind: 'lease' | 'admission';
  /** Whether a second request has come to wait under it. */
  readonly joined: boolean;
  readonly status: string;
  readonly leaseId: string | null;
  readonly runStatus: string;
}

type Known = Pick<Evidence, 'history' | 'setBacks' | 'calmMs' | 'lockDelaySeconds' | 'forgotten' | 'unfinished'>;

/** Reads the tables past row-level security, in one snapshot. */
export async function gather(url: string, orgId: string, known: Known): Promise<Omit<Evidence, 'followed'>> {
  return withClient(url, async (client) => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const events = await client.query<Omit<LoggedEvent, 'seq' | 'atMs'> & { seq: string; at: Date }>(
      `SELECT seq, at, kind, subject ->> 'id' AS "subjectId", data, encode(hash, 'hex') AS hash FROM event WHERE org_id = $1 ORDER BY seq`,
      [orgId],
    );
    const leases = await client.query<
      Omit<LeaseRow, 'fence' | 'expiresAtMs' | 'keys'> & { fence: string; expiresAt: Date; keys: string }
    >(
      `SELECT l.id, l.fence, l.run_id AS "runId", p.name AS repo, l.expires_at AS "expiresAt", l.ended_at IS NOT NULL AS ended,
         l.end_reason AS "endReason", (SELECT count(*) FROM lease_key k WHERE k.lease_id = l.id) AS keys
       FROM lease l JOIN repo p ON p.id = l.repo_id WHERE l.org_id = $1 ORDER BY l.fence`,
      [orgId],
    );
    const waiters = await client.query<WaiterRow>(
      `SELECT w.id, w.run_id AS "runId", w.kind, w.joined, w.status, w.lease_id AS "leaseId", r.status AS "runStatus"
       FROM lease_waiter w JOIN run r ON r.id = w.run_id WHERE w.org_id = $1`,
      [orgId],
    );
    return {
      ...known,
      events: events.rows.map(({ seq, at, ...rest }) => ({ ...rest, seq: Number(seq), atMs: at.getTime() })),
      leases: leases.rows.map(({ fence, expiresAt, keys, ...rest }) => ({
        ...rest,
        fence: Number(fence),
        expiresAtMs: expiresAt.getTime(),
        keys: Number(keys),
      })),
      waiters: waiters.rows,
    };
  });
}

/** Whether a run has a place in a queue. */
export async function waitingOf(url: string, runId: string): Promise<boolean> {
  return withClient(url, async (client) => {
    const { rowCount } = await client.query(
      `SELECT 1 FROM lease_waiter WHERE run_id = $1 AND status = 'waiting' AND kind = 'lease' LIMIT 1`,
      [runId],
    );
    return (rowCount ?? 0) > 0;
  });
}
