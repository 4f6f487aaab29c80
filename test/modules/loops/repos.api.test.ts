import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { untilBlocked } from '../../support/locks.ts';
import { type Caller, type Reply, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';

let server: TestServer;
let second: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  second = await startTestServer({ database: server.database });
});
afterAll(async () => {
  await second?.close();
  await server?.close();
});

async function repoOf(org: TestOrg, name = 'acme/shop') {
  const loop = await org.admin.post('/loops', { name: `loop ${randomUUID()}`, repo: name });
  return { id: loop.body.repoId as string, loopId: loop.body.id as string };
}

/** A lease that is over by its time but that no row says the end of, with the keys that such a lease has. */
async function insertLease(run: (text: string, values: unknown[]) => Promise<unknown>, org: TestOrg, repoId: string) {
  const id = randomUUID();
  await run(
    `INSERT INTO lease (org_id, id, repo_id, run_id, loop_id, fence, mode, paths, ttl_seconds, granted_at, expires_at)
     VALUES ($1, $2, $3, $2, $2, 1, 'exclusive', '{a}', 60, now() - interval '1 day', now() - interval '1 hour')`,
    [org.id, id, repoId],
  );
  await run(
    `INSERT INTO lease_key (org_id, repo_id, lease_id, ordinal, kind, key) VALUES ($1, $2, $3, 0, 'literal', 'a')`,
    [org.id, repoId, id],
  );
  return id;
}

async function endLease(org: TestOrg, id: string): Promise<void> {
  await server.sql('UPDATE lease SET ended_at = now() WHERE org_id = $1 AND id = $2', [org.id, id]);
  await server.sql('DELETE FROM lease_key WHERE org_id = $1 AND lease_id = $2', [org.id, id]);
}

/** What registers a repo on first use, beside a loop. */
const FIRST_USES: Readonly<Record<string, (by: Caller, run: { runId: string; epoch?: number }) => Promise<Reply>>> = {
  'a lease': (by, run) => by.post('/leases', { ...run, repo: 'acme/typo', paths: ['a'] }),
  'an admission': (by, run) => by.post('/admissions', { ...run, repo: 'acme/typo', action: 'path.edit', paths: ['a'] }),
  'a decision': (by, { runId }) =>
    by.post('/decisions', { runId, action: 'command.run', subject: { repo: 'acme/typo', command: 'ls' } }),
};

describe.each(Object.entries(FIRST_USES))('a repo that is new to %s', (kind, use) => {
  let org: TestOrg;
  let runId: string;
  beforeEach(async () => {
    org = await server.newOrg();
    const { loopId } = await repoOf(org);
    runId = (await org.admin.post(`/loops/${loopId}/runs`, {})).body.id;
  });

  const refusals: Readonly<Record<string, () => Promise<Reply>>> = {
    not_found: () => use(org.admin, { runId: randomUUID() }),
    not_your_run: async () => use(await org.key('member'), { runId }),
    run_finished: async () => {
      await org.admin.post(`/runs/${runId}/finish`, { epoch: 1, outcome: { status: 'succeeded' } });
      return use(org.admin, { runId });
    },
    ...(kind === 'a decision'
      ? {}
      : {
          epoch_stale: async () => {
            await org.admin.post(`/runs/${runId}/resume`);
            return use(org.admin, { runId, epoch: 1 });
          },
          epoch_unknown: () => use(org.admin, { runId, epoch: 2 }),
        }),
  };

  it.each(Object.entries(refusals))('is not registered by who is refused for %s', async (code, ask) => {
    const reply = await ask();
    expect(reply.body).toMatchObject({ code });
    expect(reply.status).toBeGreaterThanOrEqual(403);
    expect((await org.admin.get('/repos?name=acme/typo')).body.items).toEqual([]);
    expect((await org.events()).filter(({ data }) => data['name'] === 'acme/typo')).toEqual([]);
  });

  it('is registered by who may ask for it', async () => {
    expect((await use(org.admin, { runId, epoch: 1 })).status).toBeLessThan(300);
    expect((await org.admin.get('/repos?name=acme/typo')).body.items).toMatchObject([{ name: 'acme/typo' }]);
  });
});

describe('repos', () => {
  it('register themselves on first use, once, however many come at once on two servers', async () => {
    const org = await server.newOrg();
    const there = second.caller(org.admin.secret);
    const made = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        (i % 2 === 0 ? org.admin : there).post('/loops', { name: `loop ${i}`, repo: 'acme/shop' }),
      ),
    );
    expect(made.map((reply) => reply.status)).toEqual(Array.from({ length: 12 }, () => 201));
    expect(new Set(made.map((reply) => reply.body.repoId)).size).toBe(1);
    expect((await org.admin.get('/repos')).body.items).toEqual([
      { id: made[0]!.body.repoId, name: 'acme/shop', caseSensitive: true, createdAt: expect.any(String) },
    ]);
    expect((await org.events()).filter((event) => event.kind === 'repo.registered')).toHaveLength(1);
  });

  it('are not registered by being read about', async () => {
    const org = await server.newOrg();
    expect((await org.admin.get('/loops?repo=acme/shop')).body).toEqual({ items: [], nextCursor: null });
    expect((await org.admin.get('/runs?repo=acme/shop')).body).toEqual({ items: [], nextCursor: null });
    expect((await org.admin.get('/repos?name=acme/shop')).body.items).toEqual([]);
  });

  it('change how paths compare, by an admin, with an event only for a change', async () => {
    const org = await server.newOrg();
    const { id } = await repoOf(org);
    for (const times of [1, 2]) {
      const changed = await org.admin.patch(`/repos/${id}`, { caseSensitive: false });
      expect(changed.status).toBe(200);
      expect(changed.body).toMatchObject({ id, caseSensitive: false });
      const told = (await org.events()).filter((event) => event.kind === 'repo.changed');
      expect(told, `after ${times} requests`).toMatchObject([
        { subject: { kind: 'repo', id }, data: { caseSensitive: false } },
      ]);
    }
    expect((await org.admin.patch(`/repos/${id}`, {})).body).toMatchObject({ caseSensitive: false });
    expect((await (await org.key('member')).patch(`/repos/${id}`, { caseSensitive: true })).status).toBe(403);
    expect((await org.admin.patch(`/repos/${id}`, { name: 'acme/else' })).status).toBe(422);
  });

  it('do not change while a lease in them has not ended, expired or not', async () => {
    const org = await server.newOrg();
    const { id } = await repoOf(org);
    const { id: elsewhere } = await repoOf(org, 'acme/other');
    const lease = await insertLease(server.sql, org, id);
    const refused = await org.admin.patch(`/repos/${id}`, { caseSensitive: false });
    expect(refused).toMatchObject({ status: 409, body: { code: 'repo_in_use' } });
    expect((await org.admin.patch(`/repos/${elsewhere}`, { caseSensitive: false })).status).toBe(200);
    await endLease(org, lease);
    expect((await org.admin.patch(`/repos/${id}`, { caseSensitive: false })).status).toBe(200);
  });

  it('wait for whoever holds the row before they look for leases', async () => {
    const org = await server.newOrg();
    const { id } = await repoOf(org);
    const client = await server.pools.ordinary.connect();
    try {
      await client.query('BEGIN');
      await client.query(`SELECT set_config('signalbox.org_id', $1, true)`, [org.id]);
      await client.query('SELECT 1 FROM repo WHERE org_id = $1 AND id = $2 FOR UPDATE', [org.id, id]);
      const pending = org.admin.patch(`/repos/${id}`, { caseSensitive: false });
      await insertLease((text, values) => client.query(text, values), org, id);
      await untilBlocked(server);
      await client.query('COMMIT');
      expect(await pending).toMatchObject({ status: 409, body: { code: 'repo_in_use' } });
    } finally {
      client.release();
    }
  });

  it("answer another org's id like one that does not exist", async () => {
    const org = await server.newOrg();
    const other = await server.newOrg();
    const { id } = await repoOf(org);
    const hidden = await other.admin.patch(`/repos/${id}`, { caseSensitive: false });
    const unknown = await other.admin.patch(`/repos/${randomUUID()}`, { caseSensitive: false });
    expect(hidden.status).toBe(404);
    expect({ ...hidden.body, requestId: null }).toEqual({ ...unknown.body, requestId: null });
    expect((await other.admin.get('/repos')).body.items).toEqual([]);
  });
});
