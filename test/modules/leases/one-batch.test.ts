import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { withClient } from '../../support/database.ts';
import { inOneWrite } from '../../support/in-one-write.ts';
import { holding, untilBlocked } from '../../support/locks.ts';
import { type Reply, startTestServer, type TestServer } from '../../support/server.ts';
import { held, queue } from './line.ts';
import { give, newRunner, REPO, type Runner, through } from './support.ts';

let server: TestServer;
/** Has not seen any lease: what is asked of it goes the general way. */
let other: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  other = await startTestServer({ start: false, database: server.database });
});
afterAll(async () => {
  await other?.close();
  await server?.close();
});

/** Has requests decided in one batch, in their order: they gather behind one that waits for the repo. */
async function together(orgId: string, leader: Runner, ...requests: (() => Promise<Reply>)[]): Promise<Reply[]> {
  return withClient(server.database.url, async (client) => {
    const repo = await holding(client, 'SELECT FROM repo WHERE org_id = $1 FOR UPDATE', [orgId]);
    const leading = leader.acquire({ patterns: ['first/*'] });
    await untilBlocked(server, 'FOR NO KEY UPDATE');
    const submitted = vi.spyOn(other.signalbox.services.hot, 'submit');
    const replies: Promise<Reply>[] = [];
    for (const request of requests) {
      replies.push(request());
      await vi.waitUntil(() => submitted.mock.calls.length === replies.length);
    }
    submitted.mockRestore();
    await repo.free();
    expect((await leading).status).toBe(201);
    return Promise.all(replies);
  });
}

it('a lease that is extended and revoked at once is closed to its run for as long as both answers say', async () => {
  const org = await server.newOrg();
  const ann = await newRunner(org);
  const lease = await held(ann, { paths: ['a'], ttlSeconds: 60 });
  const there = through(other, ann);
  const [renewed, revoked] = await together(
    org.id,
    there,
    () => there.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence, ttlSeconds: 600 }),
    () => other.caller(org.admin.secret).post(`/leases/${lease.id}/revoke`, { reason: 'because' }),
  );
  expect([renewed!.status, revoked!.status]).toEqual([200, 200]);
  expect(revoked!.body.lease.expiresAt).toBe(renewed!.body.lease.expiresAt);
  const again = await ann.acquire({ paths: ['a'] });
  expect(again).toMatchObject({
    status: 409,
    body: { code: 'lease_revoked', until: renewed!.body.lease.expiresAt },
  });
});

it.each([
  ['the place in line that it gives up', async (ann: Runner) => queue(ann, { patterns: ['src/*.ts'] }), cancelTicket],
  ['what it gives back', async (ann: Runner) => held(ann, { paths: ['theirs'] }), give],
])('a run that asks at once for something else is not before anybody by %s', async (_what, begin, end) => {
  const org = await server.newOrg();
  const [ann, ben, cid] = [await newRunner(org), await newRunner(org), await newRunner(org)];
  await held(cid, { paths: ['src/a.ts'] });
  const hers = (await begin(ann)) as never;
  await queue(ben, { paths: ['src/a.ts'], patterns: ['their*'] });
  const there = through(other, ann);
  // At its turn ben, too, is only behind cid.
  const [ended, asked] = await together(
    org.id,
    there,
    () => end(there, hers),
    () => there.acquire({ paths: ['src/a.ts'], waitSeconds: 0.001 }),
  );
  expect([ended!.status, asked!.status]).toEqual([200, 202]);
  expect(asked!.body.ticket).toMatchObject({ status: 'waiting', position: 2 });
});

const inOneCall = (_orgId: string, { caller, runId }: Runner, bodies: readonly object[]) =>
  inOneWrite(
    server.url,
    bodies.map((body) => ({ secret: caller.secret, path: '/leases', body: { repo: REPO, runId, ...body } })),
  );

const theGeneralWay = async (orgId: string, ann: Runner, bodies: readonly Record<string, unknown>[]) => {
  const there = through(other, ann);
  return together(orgId, there, ...bodies.map((body) => () => there.acquire(body)));
};

const WAYS = [
  ['in one call', inOneCall],
  ['the general way', theGeneralWay],
] as const;

it.each(WAYS)(
  'a run that asks more than once at once has the lease for the longest time, decided %s',
  async (_way, askAll) => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    await held(ann, { paths: ['known'] });
    const asked = [60, 3600, 600].map((ttlSeconds) => ({ paths: ['a'], ttlSeconds }));
    const leases = (await askAll(org.id, ann, asked)).map(
      ({ body }) => body.lease as { id: string; expiresAt: string },
    );
    expect(new Set(leases.map(({ id }) => id)).size).toBe(1);
    const { expiresAt } = (await ann.caller.get(`/leases/${leases[0]!.id}`)).body;
    expect((Date.parse(expiresAt) - Date.now()) / 1000).toBeGreaterThan(3500);
    expect(leases[1]!.expiresAt).toBe(expiresAt);
  },
);

it.each(WAYS)(
  'a run that asks for a share and for all of it at once holds it once, decided %s',
  async (_way, askAll) => {
    const org = await server.newOrg();
    const [ann, ben] = [await newRunner(org), await newRunner(org)];
    await held(ann, { paths: ['known'] });
    const asked = ['shared', 'exclusive'].map((mode) => ({ paths: ['a', 'b'], mode }));
    const replies = await askAll(org.id, ann, asked);
    expect(replies.map(({ status }) => status)).toEqual([201, 201]);
    const [shared, whole] = replies.map(({ body }) => body.lease);
    expect((await ann.caller.get(`/leases/${shared.id}`)).body).toMatchObject({ mode: 'shared', state: 'over' });
    await give(ann, whole);
    expect((await ben.acquire({ paths: ['a', 'b'] })).status).toBe(201);
  },
);

function cancelTicket({ caller }: Runner, id: string): Promise<Reply> {
  return caller.delete(`/lease-tickets/${id}`);
}
