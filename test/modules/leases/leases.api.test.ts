import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { expiredFor, finish, newRunner, REPO, through } from './support.ts';

let server: TestServer;
let second: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  second = await startTestServer({ database: server.database, start: false });
});
afterAll(async () => {
  await second?.close();
  await server?.close();
});

describe('acquiring', () => {
  it('grants all or nothing, with a fence that is the seq of its event', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const granted = await ann.acquire({
      paths: ['src/a.ts', 'app/[id]/page.tsx'],
      patterns: ['docs/**'],
      purpose: 'tidy up',
    });
    expect(granted.status).toBe(201);
    expect(granted.body.lease).toMatchObject({
      mode: 'exclusive',
      paths: ['src/a.ts', 'app/[id]/page.tsx'],
      patterns: ['docs/**'],
      purpose: 'tidy up',
      ttlSeconds: 900,
    });
    const event = (await org.events()).find(({ kind }) => kind === 'lease.granted');
    expect(event).toMatchObject({ seq: granted.body.lease.fence, subject: { id: granted.body.lease.id } });
    const bob = await newRunner(org);
    expect((await bob.acquire({ paths: ['src/free.ts', 'src/a.ts'] })).status).toBe(409);
    expect((await bob.acquire({ paths: ['src/free.ts'] })).status).toBe(201);
  });

  it('names witness, holder, owner, purpose and expiry in a refusal, and what is free', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { body } = await ann.acquire({ patterns: ['src/**/*.ts'], purpose: 'rename the API' });
    const bob = await newRunner(org);
    const refused = await bob.acquire({ paths: ['README.md'], patterns: ['src/api/*'] });
    expect(refused).toMatchObject({ status: 409, body: { code: 'lease_conflict', free: ['README.md'] } });
    expect(refused.body.conflicts).toHaveLength(1);
    expect(refused.body.conflicts[0]).toMatchObject({
      requested: 'src/api/*',
      held: 'src/**/*.ts',
      leaseId: body.lease.id,
      holder: { loop: { id: ann.loopId }, run: { id: ann.runId }, owner: { kind: 'member', id: ann.caller.memberId } },
      purpose: 'rename the API',
      expiresAt: body.lease.expiresAt,
      queueLength: 0,
    });
    expect(refused.body.conflicts[0].witness).toMatch(/^src\/api\/[^/]*\.ts$/);
  });

  it('names at least one holder for each path that is not free, however many there are for others', async () => {
    const org = await server.newOrg();
    const ben = await newRunner(org);
    const ann = await newRunner(org);
    await ann.acquire({ patterns: Array.from({ length: 60 }, (_, n) => `many/*${n === 0 ? '' : n}`) });
    await ann.acquire({ paths: ['two'] });
    const asked = [...Array.from({ length: 60 }, (_, n) => `many/${n}${n}`), 'two', 'three'];
    const { body } = await ben.acquire({ paths: ['many/1', ...asked] });
    const told = body.conflicts.map(({ requested }: { requested: string }) => requested);
    expect(new Set(told)).toEqual(new Set(['many/1', ...asked.slice(0, -1)]));
    expect(body.free).toEqual(['three']);
  });

  it('lets shared leases share and lets nothing share with an exclusive one', async () => {
    const org = await server.newOrg();
    const [ann, bob, eve] = [await newRunner(org), await newRunner(org), await newRunner(org)];
    expect((await ann.acquire({ patterns: ['src/**'], mode: 'shared' })).status).toBe(201);
    expect((await bob.acquire({ paths: ['src/a.ts'], mode: 'shared' })).status).toBe(201);
    expect((await eve.acquire({ paths: ['src/b.ts'] })).status).toBe(409);
    expect((await eve.acquire({ paths: ['src/b.ts'], mode: 'shared' })).status).toBe(201);
  });

  it('extends what the same run holds already and never conflicts with itself', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const first = await ann.acquire({ paths: ['src/a.ts'], ttlSeconds: 60 });
    const again = await ann.acquire({ paths: ['src/a.ts'], ttlSeconds: 600 });
    expect(again.body.lease).toMatchObject({ id: first.body.lease.id, fence: first.body.lease.fence });
    expect(again.body.lease.expiresAt > first.body.lease.expiresAt).toBe(true);
    const wider = await ann.acquire({ patterns: ['src/**'] });
    expect(wider.status).toBe(201);
    expect(wider.body.lease.fence).toBeGreaterThan(first.body.lease.fence);
  });

  it('keeps repos apart, and compares without case where the repo says so', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    expect((await ann.acquire({ paths: ['Src/A.ts'] })).status).toBe(201);
    expect((await bob.acquire({ paths: ['src/a.ts'] })).status).toBe(201);
    const windows = { repo: 'acme/windows' };
    const { body: one } = await ann.acquire({ ...windows, paths: ['probe'] });
    const { body: repos } = await org.admin.get('/repos?limit=100');
    const repoId = repos.items.find((repo: { name: string }) => repo.name === windows.repo).id;
    expect(await org.admin.patch(`/repos/${repoId}`, { caseSensitive: false })).toMatchObject({
      status: 409,
      body: { code: 'repo_in_use' },
    });
    await ann.caller.post(`/leases/${one.lease.id}/release`, { fence: one.lease.fence });
    expect((await org.admin.patch(`/repos/${repoId}`, { caseSensitive: false })).status).toBe(200);
    expect((await ann.acquire({ ...windows, paths: ['Src/A.ts'] })).status).toBe(201);
    expect((await bob.acquire({ ...windows, paths: ['src/a.TS'] })).status).toBe(409);
  });
});

describe('refusing', () => {
  it.each([
    [{ paths: [] }, 422, 'paths_required'],
    [{ paths: Array.from({ length: 501 }, (_, i) => `f${i}`) }, 422, 'too_many_paths'],
    [{ paths: Array.from({ length: 10_000 }, (_, i) => `f${i}`) }, 422, 'too_many_paths'],
    [{ paths: ['a'], resources: Array.from({ length: 500 }, (_, i) => `port:${i}`) }, 422, 'too_many_paths'],
    [
      {
        paths: Array.from({ length: 300 }, (_, i) => `f${i}`),
        patterns: Array.from({ length: 300 }, (_, i) => `g${i}/**`),
      },
      422,
      'too_many_paths',
    ],
    [{ paths: ['../etc/passwd'] }, 422, 'path_dot_segment'],
    [{ paths: ['/etc/passwd'] }, 422, 'path_absolute'],
    [{ paths: ['a\u0001b'] }, 422, 'path_control_character'],
    [{ paths: ['a\u0000b'] }, 422, 'unsupported_character'],
    [{ patterns: ['!src/**'] }, 422, /^pattern_/],
    [{ patterns: ['{'.repeat(10)] }, 422, /^pattern_/],
    [{ resources: ['port'] }, 422, 'resource_invalid'],
    [{ resources: ['Port:1'] }, 422, 'resource_invalid'],
    [{ resources: ['port: 1'] }, 422, 'resource_invalid'],
    [{ paths: ['a'], ttlSeconds: 0 }, 422, 'ttl_out_of_range'],
    [{ paths: ['a'], ttlSeconds: 31_536_000 }, 422, 'ttl_out_of_range'],
    [{ paths: ['a'], ttlSeconds: 7.5 }, 422, 'invalid_request'],
    [{ paths: ['a'], waitSeconds: -1 }, 422, 'wait_out_of_range'],
    [{ paths: ['a'], waitSeconds: 86_400 }, 422, 'wait_out_of_range'],
    [{ paths: ['a'], mode: 'both' }, 422, 'invalid_request'],
    [{ paths: ['a'], repo: 'shop' }, 422, 'invalid_request'],
    [{ paths: Array.from({ length: 10_001 }, (_, n) => String(n)) }, 422, 'too_many_paths'],
    [{ paths: ['a'], repo: 'acme/..' }, 422, 'invalid_request'],
    [{ paths: ['a'], runId: 'nonsense' }, 422, 'invalid_request'],
    [{ paths: ['a'], runId: randomUUID() }, 404, 'not_found'],
  ])('case %#', async (body, status, code) => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const told = async () => (await org.events()).filter(({ kind }) => kind !== 'repo.registered');
    const before = await told();
    const refused = await ann.acquire(body);
    expect(refused.status).toBe(status);
    expect(refused.body.code).toEqual(code instanceof RegExp ? expect.stringMatching(code) : code);
    expect(await told()).toEqual(before);
  });

  it('a run of somebody else, a finished run, and another org answers like what does not exist', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    expect(await bob.caller.post('/leases', { repo: REPO, runId: ann.runId, paths: ['a'] })).toMatchObject({
      status: 403,
      body: { code: 'not_your_run' },
    });
    const { body } = await ann.acquire({ paths: ['a'] });
    const stranger = await newRunner(await server.newOrg());
    const { fence } = body.lease;
    for (const id of [body.lease.id, randomUUID()]) {
      const replies = [
        await stranger.caller.post(`/leases/${id}/renew`, { fence }),
        await stranger.caller.post(`/leases/${id}/release`, { fence }),
        await stranger.caller.get(`/leases/${id}`),
      ];
      for (const reply of replies)
        expect(reply).toMatchObject({ status: 404, body: { code: 'not_found', detail: 'No such lease.' } });
    }
    expect(await stranger.caller.post('/leases', { repo: REPO, runId: ann.runId, paths: ['a'] })).toMatchObject({
      status: 404,
      body: { detail: 'No such run.' },
    });
    expect((await stranger.acquire({ paths: ['a'] })).status).toBe(201);
    await finish(ann);
    expect(await ann.acquire({ paths: ['z'] })).toMatchObject({ status: 409, body: { code: 'run_finished' } });
  });
});

describe('renewing, releasing and expiring', () => {
  it("takes only the lease's own fence, from a key that may act for the run", async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
    const renew = (fence: number, who = ann) =>
      who.caller.post(`/leases/${lease.id}/renew`, { fence, ttlSeconds: 3600 });
    expect(await renew(lease.fence + 1)).toMatchObject({ status: 409, body: { code: 'fence_stale' } });
    expect(await renew(lease.fence, bob)).toMatchObject({ status: 403, body: { code: 'not_your_run' } });
    const renewed = await renew(lease.fence);
    expect(Date.parse(renewed.body.lease.expiresAt) - Date.parse(lease.expiresAt)).toBeGreaterThan(3_000_000);
    expect((await bob.caller.post(`/leases/${lease.id}/release`, { fence: lease.fence })).status).toBe(403);
    expect((await ann.caller.post(`/leases/${lease.id}/release`, { fence: lease.fence })).status).toBe(200);
    expect(await renew(lease.fence)).toMatchObject({ status: 409, body: { code: 'fence_stale' } });
    expect((await bob.acquire({ paths: ['a'] })).status).toBe(201);
  });

  it('keeps an expired lease closed for the lock delay, then gives its path to another with a higher fence', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease } = (await ann.acquire({ paths: ['a'] })).body;
    await expiredFor(server, lease.id, 5);
    const closing = await bob.acquire({ paths: ['a'] });
    expect(closing).toMatchObject({ status: 409, body: { conflicts: [{ closing: true, leaseId: lease.id }] } });
    expect(await ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence })).toMatchObject({
      status: 409,
      body: { code: 'fence_stale' },
    });
    await expiredFor(server, lease.id, 16);
    const taken = await bob.acquire({ paths: ['a'] });
    expect(taken.status).toBe(201);
    expect(taken.body.lease.fence).toBeGreaterThan(lease.fence);
    const [row] = await server.sql(`SELECT end_reason, ended_at IS NOT NULL AS ended FROM lease WHERE id = $1`, [
      lease.id,
    ]);
    expect(row).toEqual({ end_reason: 'expired', ended: true });
    expect((await ann.caller.post(`/leases/${lease.id}/release`, { fence: lease.fence })).body.code).toBe(
      'fence_stale',
    );
  });

  it('ends with its run at once, and a heartbeat renews only what is live', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { lease: old } = (await ann.acquire({ paths: ['old'], ttlSeconds: 60 })).body;
    const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
    await expiredFor(server, old.id, 1);
    await server.sql(`UPDATE lease SET expires_at = clock_timestamp() + interval '10 s' WHERE id = $1`, [lease.id]);
    await ann.caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1 });
    const at = async (id: string) => Date.parse((await ann.caller.get(`/leases/${id}`)).body.expiresAt) - Date.now();
    expect(await at(lease.id)).toBeGreaterThan(50_000);
    expect(await at(old.id)).toBeLessThan(0);
    await finish(ann);
    expect((await bob.acquire({ paths: ['a', 'old'] })).status).toBe(201);
    expect((await ann.caller.get(`/leases/${lease.id}`)).body.state).toBe('over');
  });
});

describe('idempotency', () => {
  it('replays the first answer with its fence, on any server, and refuses the key for another body', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const elsewhere = through(second, ann);
    const key = { 'idempotency-key': randomUUID() };
    const first = await ann.acquire({ paths: ['a'] }, key);
    const replies = await Promise.all([ann.acquire({ paths: ['a'] }, key), elsewhere.acquire({ paths: ['a'] }, key)]);
    for (const reply of replies) expect(reply).toMatchObject({ status: 201, body: first.body });
    expect((await org.events()).filter(({ kind }) => kind === 'lease.granted')).toHaveLength(1);
    expect(await elsewhere.acquire({ paths: ['b'] }, key)).toMatchObject({
      status: 422,
      body: { code: 'idempotency_mismatch' },
    });
  });

  it('refuses the key for another call with the same body', async () => {
    const ann = await newRunner(await server.newOrg());
    const { id, fence } = (await ann.acquire({ paths: ['a'] })).body.lease;
    const key = { 'idempotency-key': randomUUID() };
    expect((await ann.caller.post(`/leases/${id}/renew`, { fence }, key)).status).toBe(200);
    expect(await ann.caller.post(`/leases/${id}/release`, { fence }, key)).toMatchObject({
      status: 422,
      body: { code: 'idempotency_mismatch' },
    });
  });

  it('grants once when the same request comes many times at once to two servers', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const elsewhere = through(second, ann);
    for (let round = 0; round < 5; round += 1) {
      const key = { 'idempotency-key': randomUUID() };
      const replies = await Promise.all(
        Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? ann : elsewhere).acquire({ paths: [`r${round}`] }, key)),
      );
      expect(new Set(replies.map(({ body }) => JSON.stringify(body.lease)))).toHaveProperty('size', 1);
      expect(replies.every(({ status }) => status === 201)).toBe(true);
    }
    expect((await org.events()).filter(({ kind }) => kind === 'lease.granted')).toHaveLength(5);
  });
});
