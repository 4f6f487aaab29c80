import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { TestDatabase } from '../../../support/database.ts';
import { type Caller, type Reply, startTestServer, type TestOrg, type TestServer } from '../../../support/server.ts';
import { newRunner, type Runner } from '../support.ts';
import type { Request } from './reference.ts';

/** Long enough that nothing in this org runs out, or stays closed, by itself while a model runs. */
export const LOCK_DELAY_SECONDS = 1200;

/** A row of each table as the database has it. */
export interface LeaseRow {
  id: string;
  run_id: string;
  repo: string;
  fence: string;
  mode: string;
  claims: string[];
  ttl_seconds: number;
  end_reason: string | null;
  left_seconds: number;
}

export interface TicketRow {
  id: string;
  run_id: string;
  repo: string;
  mode: string;
  claims: string[];
  status: string;
  reason: string | null;
  lease_id: string | null;
}

export interface Seen {
  readonly leases: LeaseRow[];
  readonly tickets: TicketRow[];
}

/** A request that is held open, in the background. */
export interface HeldRequest {
  readonly ticket: number;
  readonly server: number;
  readonly isKept: boolean;
  readonly hangUp: () => void;
  /** What was answered; null if the connection broke. */
  readonly answer: Promise<Reply | null>;
}

/** Two servers on one database. Any of them may die, and another one takes its place. */
export class Fleet {
  readonly database: TestDatabase;
  readonly servers: TestServer[] = [];
  readonly client: pg.Client;
  readonly #first: TestServer;
  #started = 0;
  readonly #dying: Promise<unknown>[] = [];

  private constructor(first: TestServer, client: pg.Client) {
    this.#first = first;
    this.database = first.database;
    this.client = client;
  }

  static async start(): Promise<Fleet> {
    // Makes the database, and drops it at last; takes no part otherwise.
    const first = await startTestServer({ start: false });
    const client = new pg.Client({ connectionString: first.database.url });
    client.on('error', () => {});
    await client.connect();
    const fleet = new Fleet(first, client);
    for (const at of [0, 1]) fleet.servers[at] = await fleet.#another();
    return fleet;
  }

  async #another(): Promise<TestServer> {
    const url = new URL(this.database.url);
    url.searchParams.set('application_name', `model-${(this.#started += 1)}`);
    return startTestServer({ database: { ...this.database, url: url.href }, start: 'signals' });
  }

  /** As if its process had been killed: no connection to the database any more, at once, and none to its clients. */
  async crash(at: number): Promise<void> {
    const victim = this.servers[at]!;
    this.#dying.push(victim.pools.end().catch(() => undefined));
    victim.signalbox.app.server.closeAllConnections();
    const name = new URL(victim.database.url).searchParams.get('application_name');
    await this.client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
      name,
    ]);
    this.#dying.push(victim.signalbox.close().catch(() => undefined));
    this.servers[at] = await this.#another();
    await warm(this.servers[at]);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#dying);
    await this.client.end();
    for (const server of this.servers.toReversed()) await server.close();
    await this.#first.close();
  }
}

/** The machine was too busy for the server to answer; what it did is anybody's guess. */
export class TooBusy extends Error {}

/** Opens its connections: on a busy machine the first requests would wait for them too long. */
async function warm(server: TestServer): Promise<void> {
  for (let left = 20; left > 0; left -= 1) {
    const asked = Array.from({ length: 3 }, () => server.caller('nobody').get('/leases'));
    if ((await Promise.all(asked)).every(({ status }) => status === 401)) return;
  }
}

/** One org in which a model is run. */
export class World {
  readonly fleet: Fleet;
  readonly org: TestOrg;
  readonly runners: readonly Runner[];
  readonly held: HeldRequest[] = [];
  readonly trace: string[] = [];
  /** What was answered, and what became of tickets: to see that all of it happens. */
  readonly answers: string[] = [];

  private constructor(fleet: Fleet, org: TestOrg, runners: readonly Runner[]) {
    this.fleet = fleet;
    this.org = org;
    this.runners = runners;
  }

  static async create(fleet: Fleet, runs: number): Promise<World> {
    const org = await fleet.servers[0]!.newOrg().catch((error: unknown) => {
      throw String(error).includes('got 503') ? new TooBusy('503') : error;
    });
    await org.admin.patch('/org/settings', { lockDelaySeconds: LOCK_DELAY_SECONDS });
    const runners = await Promise.all(Array.from({ length: runs }, () => newRunner(org)));
    if (runners.some(({ runId }) => runId === undefined)) throw new TooBusy('a run did not start');
    return new World(fleet, org, runners);
  }

  as(run: number, server: number): Caller {
    return this.fleet.servers[server]!.caller(this.runners[run]!.caller.secret);
  }

  admin(server: number): Caller {
    return this.fleet.servers[server]!.caller(this.org.admin.secret);
  }

  bodyOf({ run, repo, mode, claims, ttlSeconds }: Request): Record<string, unknown> {
    const texts = (kind: string) => claims.filter((claim) => claim.kind === kind).map(({ text }) => text);
    return {
      repo,
      runId: this.runners[run]!.runId,
      mode,
      ttlSeconds,
      paths: texts('paths'),
      patterns: texts('patterns'),
      resources: texts('resources'),
    };
  }

  /** Asks, and leaves the request open in the background. */
  hold(request: { run: number; ticket: number; server: number; body: unknown; key: string | null }): void {
    const { run, ticket, server, body, key } = request;
    const abort = new AbortController();
    const answer = fetch(`${this.fleet.servers[server]!.url}/api/v1/leases`, {
      method: 'POST',
      signal: abort.signal,
      headers: {
        authorization: `Bearer ${this.runners[run]!.caller.secret}`,
        'content-type': 'application/json',
        ...(key === null ? {} : { 'idempotency-key': key }),
      },
      body: JSON.stringify(body),
    })
      .then(
        async (reply): Promise<Reply> => ({ status: reply.status, body: await reply.json(), headers: reply.headers }),
      )
      .catch(() => null);
    this.held.push({ ticket, server, isKept: key !== null, hangUp: () => abort.abort(), answer });
  }

  async see(): Promise<Seen> {
    const { rows } = await this.fleet.client.query<Seen>(
      `SELECT (SELECT coalesce(json_agg(l ORDER BY l.fence), '[]') FROM (
          SELECT l.id, l.run_id, p.name AS repo, l.fence, l.mode, l.paths || l.patterns || l.resources AS claims, l.ttl_seconds, l.end_reason,
            extract(epoch FROM l.expires_at - clock_timestamp())::float8 AS left_seconds
          FROM lease l JOIN repo p ON p.id = l.repo_id WHERE l.org_id = $1) l) AS leases,
        (SELECT coalesce(json_agg(w ORDER BY w.seq), '[]') FROM (
          SELECT w.id, w.run_id, p.name AS repo, w.seq, w.mode, w.paths || w.patterns || w.resources AS claims, w.status, w.reason, w.lease_id
          FROM lease_waiter w JOIN repo p ON p.id = w.repo_id WHERE w.org_id = $1) w) AS tickets`,
      [this.org.id],
    );
    return rows[0]!;
  }

  /** Moves the end of a lease, under the lock that grants take. */
  async moveExpiry(leaseId: string, leftSeconds: number): Promise<void> {
    const { client } = this.fleet;
    await client.query('BEGIN');
    await client.query('SELECT id FROM repo WHERE org_id = $1 ORDER BY id FOR UPDATE', [this.org.id]);
    await client.query(
      'UPDATE lease SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE org_id = $3 AND id = $1',
      [leaseId, leftSeconds, this.org.id],
    );
    await client.query('COMMIT');
  }

  /** As if nobody had heard of a run for an hour. */
  async silence(runId: string): Promise<void> {
    await this.fleet.client.query(`UPDATE run SET last_beat_at = clock_timestamp() - interval '1 hour' WHERE id = $1`, [
      runId,
    ]);
  }

  /** As if a call of it had come just now. */
  async hear(runId: string): Promise<void> {
    await this.fleet.client.query(
      `UPDATE run SET status = 'running', last_beat_at = clock_timestamp() WHERE id = $1 AND status <> 'finished'`,
      [runId],
    );
  }

  /** Until the server has heard of it. */
  async untilHeard(runId: string): Promise<void> {
    for (let left = 1000; left > 0; left -= 1) {
      const { rowCount } = await this.fleet.client.query(
        `SELECT FROM run WHERE id = $1 AND last_beat_at > clock_timestamp() - interval '1 minute'`,
        [runId],
      );
      if (rowCount === 1) return;
      await sleep(5);
    }
    throw new Error(`run ${runId} is not heard of`);
  }

  /** What is left in the index of claims of somebody who holds and wants nothing. */
  async strayKeys(): Promise<unknown[]> {
    const { rows } = await this.fleet.client.query(
      `SELECT 'lease' AS of, l.id, l.end_reason FROM lease_key k JOIN lease l ON l.id = k.lease_id
        WHERE k.org_id = $1 AND l.ended_at IS NOT NULL AND (l.end_reason <> 'revoked' OR l.expires_at <= clock_timestamp())
      UNION SELECT 'ticket', w.id, w.reason FROM lease_waiter_key k JOIN lease_waiter w ON w.id = k.waiter_id
        WHERE k.org_id = $1 AND w.status <> 'waiting'`,
      [this.org.id],
    );
    return rows;
  }

  /** Housekeeping passes over all orgs: those that are done with are out of its way. */
  async close(): Promise<void> {
    for (const { hangUp } of this.held) hangUp();
    await Promise.all(this.held.map(({ answer }) => answer));
    await this.fleet.client.query('DELETE FROM org WHERE org_id = $1', [this.org.id]);
  }
}
