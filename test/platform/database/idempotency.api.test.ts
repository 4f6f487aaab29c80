import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { withClient } from '../../support/database.ts';
import { type Reply, startTestServer, type TestServer } from '../../support/server.ts';

// A machine that does much else is slow, not wrong.
vi.setConfig({ testTimeout: 120_000 });

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

const key = (value: string) => ({ 'idempotency-key': value });
const outcome = ({ status, body }: Reply) => [status, body.code];

describe('an Idempotency-Key', () => {
  it('gives many that arrive at once on two servers one answer and makes one thing', async () => {
    const org = await server.newOrg();
    const there = second.caller(org.admin.secret);
    const replies = await Promise.all(
      Array.from({ length: 12 }, (_, i) => (i % 2 ? org.admin : there).post('/teams', { name: 'red' }, key('k'))),
    );
    expect(new Set(replies.map((reply) => JSON.stringify([reply.status, reply.body]))).size).toBe(1);
    expect(replies[0]!.status).toBe(201);
    expect((await org.admin.get('/teams')).body.items).toHaveLength(1);
    expect((await org.events()).filter(({ kind }) => kind === 'team.created')).toHaveLength(1);
  });

  it('lets the second wait until the first is settled, and take its answer', async () => {
    const org = await server.newOrg();
    await withClient(server.database.url, async (client) => {
      // The head row is held: the first gets as far as its last statement and no further.
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM org_head WHERE org_id = $1 FOR UPDATE', [org.id]);
      const first = org.admin.post('/teams', { name: 'red' }, key('k'));
      const isWaiting = async (n: number) => {
        const { rows } = await client.query(
          `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return rows[0].n === n;
      };
      await expect.poll(() => isWaiting(1), { timeout: 20_000 }).toBe(true);
      const other = second.caller(org.admin.secret).post('/teams', { name: 'red' }, key('k'));
      await expect.poll(() => isWaiting(2), { timeout: 20_000 }).toBe(true);
      await client.query('COMMIT');
      expect((await first).status).toBe(201);
      expect((await other).body).toEqual((await first).body);
    });
  });

  it('that the first left behind by failing is free for the second', async () => {
    const org = await server.newOrg();
    await org.team('red');
    expect(outcome(await org.admin.post('/teams', { name: 'red' }, key('k')))).toEqual([409, 'name_taken']);
    expect((await org.admin.post('/teams', { name: 'blue' }, key('k'))).status).toBe(201);
  });

  it('refuses another body, another operation and another query; spelling of the JSON is no difference', async () => {
    const org = await server.newOrg();
    const first = await org.admin.post('/members', { name: 'Ann', email: 'ann@example.com', teams: [] }, key('k'));
    expect(first.status).toBe(201);
    const respelled = '{ "email": "ann@example.com",\n "teams": [], "name": "\\u0041nn" }';
    expect((await org.admin.post('/members', respelled, key('k'))).body).toEqual(first.body);
    for (const [path, body] of [
      ['/members', { name: 'Ann', email: 'bob@example.com', teams: [] }],
      ['/teams', { name: 'Ann' }],
      ['/loops', { name: 'x', repo: 'a/b' }],
    ] as const)
      expect(outcome(await org.admin.post(path, body, key('k')))).toEqual([422, 'idempotency_mismatch']);
    expect((await org.events()).filter(({ kind }) => /^(team|loop)\./.test(kind))).toEqual([]);
  });

  it('belongs to the API key that sent it', async () => {
    const org = await server.newOrg();
    const other = await org.key('admin');
    const mine = await org.admin.post('/teams', { name: 'red' }, key('k'));
    const theirs = await other.post('/teams', { name: 'blue' }, key('k'));
    expect([mine.status, theirs.status]).toEqual([201, 201]);
    expect(theirs.body.id).not.toBe(mine.body.id);
  });

  it.each([
    ['201 characters', 'x'.repeat(201)],
    ['a space inside', 'a b'],
    ['a character beyond ASCII', 'é'],
    ['nothing', ''],
  ])('of %s is refused', async (_name, value) => {
    const org = await server.newOrg();
    const refused = await org.admin.post('/teams', { name: 'red' }, key(value));
    expect(outcome(refused)).toEqual([422, 'idempotency_key_invalid']);
    expect((await org.admin.get('/teams')).body.items).toEqual([]);
  });

  it('of 200 printable characters is taken', async () => {
    const org = await server.newOrg();
    const long = key('~!'.repeat(100));
    const first = await org.admin.post('/teams', { name: 'red' }, long);
    expect((await org.admin.post('/teams', { name: 'red' }, long)).body).toEqual(first.body);
  });
});
