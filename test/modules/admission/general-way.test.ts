import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { withClient } from '../../support/database.ts';
import { holding, untilBlocked } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { endedUnseen, give, newRunner, type Runner, through } from '../leases/support.ts';

/** As many as a server has for its batches. */
const CONNECTIONS = 8;

// No housekeeping: nobody looks again but because of what is tested.
let server: TestServer;
let org: TestOrg;
let ann: Runner;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());
beforeEach(async () => {
  org = await server.newOrg();
  ann = await newRunner(org);
});

const keyed = () => ({ 'idempotency-key': randomUUID() });
const silentFor = async ({ runId }: Runner) => {
  const [row] = await server.sql<{ seconds: number }>(
    'SELECT extract(epoch FROM clock_timestamp() - last_beat_at)::int AS seconds FROM run WHERE id = $1',
    [runId],
  );
  return row!.seconds;
};

it('whoever gets in line behind one that is let in by the same batch has its turn after that', async () => {
  const [ben, cid] = [await newRunner(org), await newRunner(org)];
  const { lease } = (await ann.acquire({ paths: ['a'] })).body;
  const { ticket } = (await ben.acquire({ paths: ['a'], waitSeconds: 0.001 })).body;
  const { line, hot } = server.signalbox.services;
  await endedUnseen(server, lease);
  const submitted = vi.spyOn(hot, 'submit');
  const { behind } = await withClient(server.database.url, async (client) => {
    const repo = await holding(client, 'SELECT FROM repo WHERE org_id = $1 FOR UPDATE', [org.id]);
    // On a pattern: that is never decided in one call.
    const first = ann.acquire({ patterns: ['z/*'] });
    await untilBlocked(server, 'FOR NO KEY UPDATE');
    // These two gather behind it: a request, and then the look that lets Ben in.
    const waiting = cid.acquire({ paths: ['a'], waitSeconds: 10 });
    await vi.waitUntil(() => submitted.mock.calls.length === 2);
    line.freed(org.id, [lease.id]);
    await vi.waitUntil(() => submitted.mock.calls.length === 3);
    await repo.free();
    expect((await first).status).toBe(201);
    return { behind: waiting };
  }).finally(() => submitted.mockRestore());
  const { body } = await ben.caller.get(`/lease-tickets/${ticket.id}?waitSeconds=5`);
  expect(body).toMatchObject({ status: 'granted' });
  expect((await give(ben, body.lease)).status).toBe(200);
  expect((await behind).status).toBe(201);
});

it('all connections may break in their commits at once: what is lost is looked up on others', async () => {
  const runners = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const mine = await server.newOrg();
      return { id: mine.id, runner: await newRunner(mine) };
    }),
  );
  const replies = await withClient(server.database.url, async (client) => {
    await client.query('BEGIN');
    await client.query('SELECT FROM org_head WHERE org_id = ANY ($1::uuid[]) FOR UPDATE', [
      runners.map(({ id }) => id),
    ]);
    const asked = Promise.all(runners.map(({ runner }) => runner.acquire({ paths: ['a'] }, keyed())));
    await untilBlocked(server, 'hot_write', CONNECTIONS);
    await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%hot_write%'`,
    );
    await client.query('ROLLBACK');
    return asked;
  });
  expect(replies.map(({ status }) => status)).toEqual(runners.map(() => 201));
});

it('a renewal is a beat, on a server that knows nothing yet as on one that does', async () => {
  const { lease } = (await ann.acquire({ paths: ['a'] })).body;
  const other = await startTestServer({ database: server.database, start: false });
  try {
    for (let time = 0; time < 2; time += 1) {
      await server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 minute' WHERE id = $1`, [ann.runId]);
      const renewal = { fence: lease.fence, ttlSeconds: 3600 };
      const { caller } = through(other, ann);
      expect((await caller.post(`/leases/${lease.id}/renew`, renewal)).status).toBe(200);
      expect(await silentFor(ann)).toBeLessThan(30);
    }
  } finally {
    await other.close();
  }
});

it('a key that was revoked while its request was written does nothing more', async () => {
  const key = randomUUID();
  const reply = await withClient(server.database.url, async (client) => {
    await client.query('BEGIN');
    // Whoever keeps an answer under this key waits for whoever else does.
    await client.query(
      `INSERT INTO idempotency (org_id, key_id, key, operation, fingerprint, status, created_at) VALUES ($1, $2, $3, '', '', 200, now())`,
      [org.id, ann.caller.keyId, key],
    );
    const asked = ann.acquire({ paths: ['a'] }, { 'idempotency-key': key });
    await untilBlocked(server, 'hot_write');
    expect((await org.admin.delete(`/api-keys/${ann.caller.keyId}`)).status).toBe(200);
    await client.query('ROLLBACK');
    return asked;
  });
  expect(reply.status).toBe(401);
  expect(await server.sql('SELECT FROM lease WHERE org_id = $1', [org.id])).toEqual([]);
});
