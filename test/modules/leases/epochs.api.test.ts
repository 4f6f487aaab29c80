import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { withClient } from '../../support/database.ts';
import { holding, untilBlocked } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { held } from './line.ts';
import { newRunner, type Runner, type Told, through } from './support.ts';

let server: TestServer;
let other: TestServer;
let org: TestOrg;
let ann: Runner;
let ben: Runner;
let lease: Told;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  other = await startTestServer({ start: false, database: server.database });
});
afterAll(async () => {
  await other?.close();
  await server?.close();
});
beforeEach(async () => {
  org = await server.newOrg();
  [ann, ben] = [await newRunner(org), await newRunner(org)];
  lease = await held(ann, { paths: ['a'] });
});

const resume = () => ann.caller.post(`/runs/${ann.runId}/resume`);

/** Everything that a process of a run may ask about leases, in the name of an epoch. */
const CALLS: Readonly<Record<string, (by: Runner, epoch: number) => ReturnType<Runner['acquire']>>> = {
  acquire: (by, epoch) => by.acquire({ paths: ['b'], epoch }),
  'acquire and wait': (by, epoch) => by.acquire({ paths: ['b'], epoch, waitSeconds: 5 }),
  extend: (by, epoch) => by.acquire({ paths: ['a'], epoch, ttlSeconds: 3600 }),
  admit: (by, epoch) => by.admit({ paths: ['c'], epoch }),
  renew: ({ caller }, epoch) => caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence, epoch }),
  release: ({ caller }, epoch) => caller.post(`/leases/${lease.id}/release`, { fence: lease.fence, epoch }),
};

describe.each(Object.entries(CALLS))('a process that says its epoch: %s', (_name, call) => {
  it('is refused once a resume has replaced it, at any server, and changes nothing', async () => {
    const there = through(other, ann);
    // Each server remembers the run as it was.
    for (const by of [ann, there]) expect((await by.acquire({ paths: ['warm'], epoch: 1 })).status).toBe(201);
    expect((await resume()).body.epoch).toBe(2);
    // And hears that something has changed from somebody else.
    for (const by of [ben, through(other, ben)]) expect((await by.acquire({ paths: ['theirs'] })).status).toBe(201);
    const before = await org.events();
    for (const by of [ann, there]) {
      expect(await call(by, 1)).toMatchObject({ status: 409, body: { code: 'epoch_stale' } });
      expect(await call(by, 3)).toMatchObject({ status: 409, body: { code: 'epoch_unknown' } });
    }
    expect(await org.events()).toEqual(before);
    expect([200, 201]).toContain((await call(there, 2)).status);
  });

  it('is served before that', async () => {
    expect([200, 201]).toContain((await call(ann, 1)).status);
  });
});

describe('a process that is replaced while it is decided about', () => {
  const holdLease = (client: pg.Client) =>
    holding(client, 'SELECT FROM lease WHERE org_id = $1 AND id = $2 FOR UPDATE', [org.id, lease.id]);

  // The shorter way is taken by a server that has seen all of it.
  it.each([
    ['hot_write', () => through(other, ann)],
    ['hot_once', () => ann],
  ])('has not renewed its lease after the resume was answered (%s)', async (written, by) => {
    await ann.acquire({ paths: ['b'] });
    const renewal = { fence: lease.fence, ttlSeconds: 3600, epoch: 1 };
    await withClient(server.database.url, async (client) => {
      const row = await holdLease(client);
      const renewing = by().caller.post(`/leases/${lease.id}/renew`, renewal);
      await untilBlocked(server, written);
      expect((await resume()).status).toBe(200);
      await row.free();
      expect(await renewing).toMatchObject({ status: 409, body: { code: 'epoch_stale' } });
    });
    expect((await org.events()).map(({ kind }) => kind)).not.toContain('lease.renewed');
  });
});
