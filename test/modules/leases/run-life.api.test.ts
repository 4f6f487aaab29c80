import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { withClient } from '../../support/database.ts';
import { holding, untilBlocked } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner, type Runner } from './support.ts';

/** Ann holds something in acme/shop; what this is about is what she is given in acme/site while her call waits for the shop. */
const SITE = 'acme/site';
/** Long enough for a clock in milliseconds to move. */
const MOMENT_MS = 20;

let server: TestServer;
let org: TestOrg;
let ann: Runner;
let ben: Runner;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());
beforeEach(async () => {
  org = await server.newOrg();
  await org.admin.patch('/org/settings', { lockDelaySeconds: 1 });
  ann = await newRunner(org);
  ben = await newRunner(org, { loop: { repo: SITE } });
  expect((await ann.acquire({ paths: ['src/a.ts'] })).status).toBe(201);
});

const holdShop = (client: pg.Client) =>
  holding(client, `SELECT FROM repo WHERE name = 'acme/shop' AND org_id = $1 FOR NO KEY UPDATE`, [org.id]);
const finish = () =>
  ann.caller.post(`/runs/${ann.runId}/finish`, { epoch: 1, outcome: { status: 'succeeded', summary: null } });

/** The times of what was decided in the site, as the log orders it. */
async function timesInSite(): Promise<number[]> {
  const events = await org.events();
  const leases = new Set(events.filter(({ data }) => data.repo === SITE).map(({ subject }) => subject.id));
  return events.filter(({ subject }) => leases.has(subject.id)).map(({ at }) => Date.parse(at));
}

describe('a run that is given something in a repo while its call waits for the locks of others', () => {
  it('is over there as well when it ends, and its end decides nothing by a time that has passed', async () => {
    await withClient(server.database.url, async (first) =>
      withClient(server.database.url, async (second) => {
        const shop = await holdShop(first);
        const ending = finish();
        await untilBlocked(server, 'ORDER BY p.id FOR NO KEY UPDATE');
        const given = await ann.acquire({ repo: SITE, paths: ['lib/one.go'] });
        expect(given.status).toBe(201);
        // Whatever the end does to her leases, it does later than the clock that it has read.
        const leases = await holding(second, `SELECT FROM lease WHERE org_id = $1 AND run_id = $2 FOR UPDATE`, [
          org.id,
          ann.runId,
        ]);
        await shop.free();
        await untilBlocked(server, 'UPDATE lease ');
        await sleep(MOMENT_MS);
        expect((await ben.acquire({ repo: SITE, paths: ['docs/b.md'] })).status).toBe(201);
        await leases.free();
        expect((await ending).status).toBe(200);
      }),
    );
    const times = await timesInSite();
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect((await ben.acquire({ repo: SITE, paths: ['lib/one.go'] })).status).toBe(201);
  });

  it('does not have it renewed unlocked: it would be renewed and taken as expired at once', async () => {
    const site = { repo: SITE, paths: ['lib/one.go'], ttlSeconds: 5 };
    await withClient(server.database.url, async (first) =>
      withClient(server.database.url, async (second) => {
        const shop = await holdShop(first);
        const beating = ann.caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1 });
        await untilBlocked(server, 'ORDER BY p.id FOR NO KEY UPDATE');
        const leaseId = (await ann.acquire(site)).body.lease.id;
        // Stands for four and a half seconds that pass here, which the timeouts of the heartbeat's connection allow.
        await server.sql(`UPDATE lease SET expires_at = clock_timestamp() + interval '200 ms' WHERE id = $1`, [
          leaseId,
        ]);
        const head = await holding(second, 'SELECT FROM org_head WHERE org_id = $1 FOR UPDATE', [org.id]);
        await shop.free();
        await untilBlocked(server, 'append_events');
        // Past its expiry and the lock delay, as far as anybody sees who reads the row now.
        await sleep(1300);
        // With a pattern, so that it is not tried in one call.
        const taking = ben.acquire({ ...site, patterns: ['lib/one.g?'] });
        await untilBlocked(server, 'hot_write');
        await head.free();
        expect((await beating).status).toBe(200);
        const taken = await taking;
        const events = await org.events();
        const renewed = events.some(({ kind, subject }) => kind === 'lease.renewed' && subject.id === leaseId);
        expect({ renewed, taken: taken.status }).toEqual({ renewed: false, taken: 201 });
      }),
    );
  });

  it('keeps its place in a line there, and leaves it with the next look of housekeeping', async () => {
    expect((await ben.acquire({ repo: SITE, paths: ['lib/one.go'] })).status).toBe(201);
    let ticketId = '';
    await withClient(server.database.url, async (first) => {
      const shop = await holdShop(first);
      const ending = finish();
      await untilBlocked(server, 'ORDER BY p.id FOR NO KEY UPDATE');
      const queued = await ann.acquire({ repo: SITE, paths: ['lib/one.go'], waitSeconds: 0.001 });
      expect(queued.status).toBe(202);
      ticketId = queued.body.ticket.id;
      await shop.free();
      expect((await ending).status).toBe(200);
    });
    const ticket = async () => (await org.admin.get(`/lease-tickets/${ticketId}`)).body;
    expect(await ticket()).toMatchObject({ status: 'waiting', reason: null });
    await server.signalbox.services.line.sweep(org.id);
    expect(await ticket()).toMatchObject({ status: 'ended', reason: 'run_ended' });
  });
});
