import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilBlocked } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';

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
