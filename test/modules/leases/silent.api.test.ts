import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { withClient } from '../../support/database.ts';
import { untilBlocked } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { until } from './line.ts';
import { endedUnseen, newRunner, type Runner } from './support.ts';

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

const kinds = async () => (await org.events()).map(({ kind }) => kind);
const statusOf = async ({ runId }: Runner) =>
  (await server.sql<{ status: string }>('SELECT status FROM run WHERE id = $1', [runId]))[0]!.status;

describe('a run that is found silent while it is decided about', () => {
  it('is heard of again in the log, when it was its own request', async () => {
    // Long enough for its request to be written down as a beat.
    await server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '9 seconds' WHERE id = $1`, [ann.runId]);
    await withClient(server.database.url, async (client) => {
      await client.query('BEGIN');
      await client.query(`UPDATE run SET status = 'stalled' WHERE id = $1`, [ann.runId]);
      const asking = ann.acquire({ paths: ['a'] }, { 'idempotency-key': 'one' });
      await untilBlocked(server, 'hot_write');
      await client.query('COMMIT');
      expect((await asking).status).toBe(201);
    });
    expect(await statusOf(ann)).toBe('running');
    expect((await kinds()).slice(-2)).toEqual(['run.revived', 'lease.granted']);
  });

  it('gets nothing from the line, and keeps its place', async () => {
    const ben = await newRunner(org);
    const { lease } = (await ben.acquire({ paths: ['a'] })).body;
    const { ticket } = (await ann.acquire({ paths: ['a'], waitSeconds: 0.001 })).body;
    await endedUnseen(server, lease);
    await withClient(server.database.url, async (client) => {
      await client.query('BEGIN');
      await client.query('SELECT FROM org_head WHERE org_id = $1 FOR UPDATE', [org.id]);
      const looking = server.signalbox.services.line.sweep(org.id);
      await untilBlocked(server, 'hot_write');
      await client.query(`UPDATE run SET status = 'stalled' WHERE id = $1`, [ann.runId]);
      await client.query('COMMIT');
      await looking;
    });
    expect((await org.admin.get(`/lease-tickets/${ticket.id}`)).body).toMatchObject({ status: 'waiting', position: 1 });
    expect((await kinds()).filter((kind) => kind === 'lease.granted')).toHaveLength(1);
    // Until it is heard of again.
    expect((await ann.caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1 })).status).toBe(200);
    await server.signalbox.services.line.sweep(org.id);
    expect((await org.admin.get(`/lease-tickets/${ticket.id}`)).body).toMatchObject({ status: 'granted' });
  });
});

describe('who looks at a ticket', () => {
  it('keeps its run alive only if it may act for it', async () => {
    const ben = await newRunner(org);
    await ben.acquire({ paths: ['a'] });
    const { ticket } = (await ann.acquire({ paths: ['a'], waitSeconds: 0.001 })).body;
    await server.sql(
      `UPDATE run SET status = 'stalled', last_beat_at = last_beat_at - interval '1 hour' WHERE id = $1`,
      [ann.runId],
    );
    for (const stranger of [org.admin, ben.caller])
      expect((await stranger.get(`/lease-tickets/${ticket.id}`)).status).toBe(200);
    expect(await statusOf(ann)).toBe('stalled');
    expect((await ann.caller.get(`/lease-tickets/${ticket.id}`)).status).toBe(200);
    expect(await statusOf(ann)).toBe('running');
  });
});

describe('a run whose request is held open', () => {
  it('is not silent, however short a time that takes', async () => {
    await org.admin.patch('/org/settings', { stallSeconds: 10 });
    const ben = await newRunner(org);
    await ben.acquire({ paths: ['a'] });
    const asking = ann.acquire({ paths: ['a'], waitSeconds: 30 });
    await until(async () => (await org.admin.get('/lease-tickets')).body.items.length === 1);
    await server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '11 seconds' WHERE id = $1`, [ann.runId]);
    await server.signalbox.services.housekeeping.pass();
    expect(await kinds()).not.toContain('run.stalled');
    const [{ id }] = (await org.admin.get('/lease-tickets')).body.items;
    expect((await ann.caller.delete(`/lease-tickets/${id}`)).status).toBe(200);
    expect((await asking).status).toBe(409);
  });
});
