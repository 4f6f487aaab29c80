import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { expiredFor, give, newRunner, REPO } from './support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.close());

describe('upgrading what a run holds', () => {
  it('takes the place of the shared lease, in one commit', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const shared = (await ann.acquire({ paths: ['a', 'b'], mode: 'shared' })).body.lease;
    const upgraded = await ann.acquire({ paths: ['a', 'b', 'c'] });
    expect(upgraded).toMatchObject({ status: 201, body: { lease: { mode: 'exclusive', paths: ['a', 'b', 'c'] } } });
    expect((await ann.caller.get(`/leases?runId=${ann.runId}`)).body.items).toMatchObject([
      { id: upgraded.body.lease.id },
    ]);
    expect((await ann.caller.get(`/leases/${shared.id}`)).body.state).toBe('over');
    expect((await org.events()).filter(({ kind }) => kind === 'lease.ended')).toMatchObject([
      { subject: { id: shared.id }, data: { reason: 'upgraded' } },
    ]);
    // Released, nothing of it is left.
    await ann.caller.post(`/leases/${upgraded.body.lease.id}/release`, { fence: upgraded.body.lease.fence });
    expect((await (await newRunner(org)).acquire({ paths: ['a', 'b', 'c'] })).status).toBe(201);
  });

  it('keeps the longer time, and what it is for', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const long = { paths: ['a'], mode: 'shared', ttlSeconds: 86_400, purpose: 'a day of work' };
    const shared = (await ann.acquire(long)).body.lease;
    const { body } = await ann.acquire({ paths: ['a'] });
    expect(body.lease).toMatchObject({ mode: 'exclusive', ttlSeconds: 86_400, purpose: 'a day of work' });
    expect(Date.parse(body.lease.expiresAt)).toBeGreaterThanOrEqual(Date.parse(shared.expiresAt));
    // What is said anew is what holds.
    await ann.acquire({ paths: ['b'], mode: 'shared', ttlSeconds: 60, purpose: 'short' });
    const again = (await ann.acquire({ paths: ['b'], ttlSeconds: 600, purpose: 'longer' })).body.lease;
    expect(again).toMatchObject({ ttlSeconds: 600, purpose: 'longer' });
  });

  it('that fails keeps the old lease as it was', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const shared = (await ann.acquire({ paths: ['a'], mode: 'shared' })).body.lease;
    await bob.acquire({ paths: ['a'], mode: 'shared' });
    expect((await ann.acquire({ paths: ['a', 'c'] })).body).toMatchObject({ code: 'lease_conflict', free: ['c'] });
    expect((await ann.caller.get(`/leases/${shared.id}`)).body).toEqual(shared);
    expect((await ann.caller.post(`/leases/${shared.id}/renew`, { fence: shared.fence })).status).toBe(200);
  });

  it('is needed of others for what an expired exclusive lease keeps closed, though its run shares it by now', async () => {
    const org = await server.newOrg();
    const [ann, ben] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await ann.acquire({ paths: ['a'] })).body;
    await expiredFor(server, lease.id, 1);
    expect((await ann.acquire({ paths: ['a'], mode: 'shared' })).status).toBe(201);
    expect(await ben.acquire({ paths: ['a'], mode: 'shared' })).toMatchObject({
      status: 409,
      body: { conflicts: [{ leaseId: lease.id, closing: true }] },
    });
  });

  it('leaves alone a shared lease of which it takes only a part', async () => {
    const ann = await newRunner(await server.newOrg());
    const shared = (await ann.acquire({ patterns: ['src/**'], mode: 'shared' })).body.lease;
    expect((await ann.acquire({ paths: ['src/a'] })).status).toBe(201);
    expect((await ann.caller.get(`/leases/${shared.id}`)).body.state).toBe('live');
  });
});

describe('asking again for what has expired', () => {
  it('has what is not asked for again stay closed to others until the lock delay is over', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await ann.acquire({ paths: ['a', 'b'] })).body;
    await expiredFor(server, lease.id, 1);
    expect((await ann.acquire({ paths: ['a'] })).status).toBe(201);
    expect(await bob.acquire({ paths: ['b'] })).toMatchObject({
      status: 409,
      body: { conflicts: [{ leaseId: lease.id, closing: true }] },
    });
  });
});

describe('named resources', () => {
  it('are leased beside paths, all or none, and only against their own name', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const resources = ['port:5432', 'migration:next'];
    const reply = await ann.acquire({ paths: ['db/schema.sql'], resources });
    expect(reply).toMatchObject({
      status: 201,
      body: { lease: { paths: ['db/schema.sql'], patterns: [], resources } },
    });
    expect(await bob.acquire({ paths: ['x'], resources: ['env:staging', 'migration:next'] })).toMatchObject({
      status: 409,
      body: {
        conflicts: [{ witness: 'migration:next', requested: 'migration:next', held: 'migration:next' }],
        free: ['x', 'env:staging'],
      },
    });
    // A pattern, however wide, is of paths; and a file of that name is another thing.
    expect((await bob.acquire({ patterns: ['*:*', 'port*'] })).status).toBe(201);
    expect((await bob.acquire({ paths: ['port:5432'] })).status).toBe(201);
    expect((await bob.acquire({ resources: ['port:5433', 'db-branch:orders'] })).status).toBe(201);
    expect((await bob.acquire({ resources: ['port:5432'], repo: 'acme/other' })).status).toBe(201);
    expect((await ann.acquire({ resources: ['port:5432'] })).body.lease.id).toBe(reply.body.lease.id);
  });

  it('come with an admission too, and NFC spellings are one', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const admitted = await ann.admit({
      action: 'command.run',
      command: 'npm run migrate',
      resources: ['env:caf\u00e9'],
    });
    expect(admitted.body).toMatchObject({ outcome: 'allow', lease: { paths: [], resources: ['env:caf\u00e9'] } });
    expect(
      (await bob.admit({ action: 'command.run', command: 'x', resources: ['env:cafe\u0301'] })).body,
    ).toMatchObject({
      outcome: 'wait',
      conflicts: [{ witness: 'env:caf\u00e9' }],
    });
  });
});

describe('an admin revokes a lease', () => {
  it('with a reason; the holder is told at its next heartbeat, admission, renewal and verification', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await ann.acquire({ paths: ['a.ts', 'b.ts'] })).body;
    const reason = 'release freeze of the cart';
    for (const caller of [ann.caller, bob.caller])
      expect((await caller.post(`/leases/${lease.id}/revoke`, { reason })).status).toBe(403);
    expect(await org.admin.post(`/leases/${lease.id}/revoke`, { reason })).toMatchObject({
      status: 200,
      body: { lease: { id: lease.id, state: 'revoked', revokeReason: reason } },
    });
    const beat = async () => (await ann.caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1 })).body.reasons;
    expect(await beat()).toMatchObject([{ code: 'lease_revoked', detail: expect.stringContaining(reason) }]);
    expect(await beat()).toHaveLength(1);
    expect(await ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence })).toMatchObject({
      status: 409,
      body: { code: 'fence_stale', detail: expect.stringContaining(reason) },
    });
    const claim = { repo: REPO, paths: ['a.ts'], leases: [{ id: lease.id, fence: lease.fence }] };
    expect((await ann.caller.post('/leases/verify', claim)).body).toEqual({
      ok: false,
      uncovered: ['a.ts'],
      stale: [{ id: lease.id, fence: lease.fence, reason: 'revoked', message: reason }],
    });
    const denied = (await ann.admit({ paths: ['a.ts'] })).body;
    expect(denied).toMatchObject({ outcome: 'deny', decision: { rules: [{ effect: 'deny', paths: ['a.ts'] }] } });
    expect(denied.decision.rules[0].reason).toContain(reason);
    expect((await ann.acquire({ patterns: ['*.ts'] })).body).toMatchObject({
      code: 'lease_revoked',
      leaseId: lease.id,
      reason,
    });
    expect((await org.events()).filter(({ kind }) => kind === 'lease.revoked')).toMatchObject([
      { subject: { id: lease.id }, data: { fence: lease.fence, reason } },
    ]);
    expect((await ann.caller.get(`/leases/${lease.id}`)).body).toMatchObject({
      state: 'revoked',
      revokeReason: reason,
    });
  });

  it('others get the paths at once, and its own run gets them again once the lease would have expired', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await ann.acquire({ paths: ['a.ts'] })).body;
    await org.admin.post(`/leases/${lease.id}/revoke`, { reason: 'x' });
    expect((await org.admin.get(`/leases?repo=${REPO}`)).body.items).toEqual([]);
    const taken = await bob.acquire({ paths: ['a.ts'] });
    expect(taken.status).toBe(201);
    await bob.caller.post(`/leases/${taken.body.lease.id}/release`, { fence: taken.body.lease.fence });
    expect((await ann.acquire({ paths: ['a.ts'] })).body.code).toBe('lease_revoked');
    await server.sql(`UPDATE lease SET expires_at = clock_timestamp() WHERE id = $1`, [lease.id]);
    expect((await ann.acquire({ paths: ['a.ts'] })).status).toBe(201);
    expect((await ann.caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1 })).body.reasons).toEqual([]);
    await server.signalbox.services.housekeeping.pass();
    expect(await server.sql('SELECT 1 FROM lease_key WHERE lease_id = $1', [lease.id])).toEqual([]);
  });

  it('lets in whoever waits, but not the run it was taken from', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await ann.acquire({ paths: ['a.ts'] })).body;
    const { ticket } = (await bob.acquire({ paths: ['a.ts'], waitSeconds: 0.01 })).body;
    await org.admin.post(`/leases/${lease.id}/revoke`, { reason: 'x' });
    expect((await bob.caller.get(`/lease-tickets/${ticket.id}?waitSeconds=10`)).body.status).toBe('granted');
    expect((await ann.acquire({ paths: ['a.ts'], waitSeconds: 5 })).body.code).toBe('lease_revoked');
  });

  it('of which the run hears; of what it gave back itself it does not', async () => {
    const ann = await newRunner(await server.newOrg());
    await give(ann, (await ann.acquire({ paths: ['a.ts'] })).body.lease);
    expect((await ann.caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1 })).body.reasons).toEqual([]);
  });

  it('refuses what is over, and what has no reason', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { lease } = (await ann.acquire({ paths: ['a.ts'] })).body;
    expect((await org.admin.post(`/leases/${lease.id}/revoke`, {})).status).toBe(422);
    await ann.caller.post(`/leases/${lease.id}/release`, { fence: lease.fence });
    const twice = await org.admin.post(`/leases/${lease.id}/revoke`, { reason: 'x' });
    expect(twice).toMatchObject({ status: 409, body: { code: 'lease_over' } });
  });
});

describe('a refusal', () => {
  it.each([
    ['was given back', `granted_at = ended_at - interval '100 seconds'`],
    [
      'had expired long before it was swept',
      `granted_at = ended_at - interval '1 hour', expires_at = ended_at - interval '1 hour' + interval '100 seconds'`,
    ],
  ])('tells the queue and how long it may take, from the repo’s own history: what %s', async (_how, times) => {
    const org = await server.newOrg();
    const [ann, bob, cid] = [await newRunner(org), await newRunner(org), await newRunner(org)];
    const past = (await ann.acquire({ paths: ['old'] })).body.lease;
    await ann.caller.post(`/leases/${past.id}/release`, { fence: past.fence });
    await server.sql(`UPDATE lease SET ${times} WHERE id = $1`, [past.id]);
    await ann.acquire({ paths: ['a'], purpose: 'cart' });
    await bob.acquire({ paths: ['a'], waitSeconds: 0.01 });
    const [conflict] = (await cid.acquire({ paths: ['a'] })).body.conflicts;
    expect(conflict).toMatchObject({ queueLength: 1, purpose: 'cart' });
    // A hundred seconds for whoever holds it, less the moment since, and a hundred for whoever waits before.
    expect(conflict.expectedWaitSeconds).toBeGreaterThan(190);
    expect(conflict.expectedWaitSeconds).toBeLessThanOrEqual(200);
    expect((await cid.admit({ paths: ['a'] })).body.conflicts[0].expectedWaitSeconds).toBeGreaterThan(190);
  });
});
