import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Caller, type Reply, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner } from '../leases/support.ts';
import { canonical, firstBroken, type Shown, sha256 } from './chain.ts';

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

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const seqs = (items: Shown[]) => items.map(({ seq }) => seq);

async function all(caller: Caller, limit = 500, name: 'after' | 'cursor' = 'after'): Promise<Shown[]> {
  const items: Shown[] = [];
  let cursor: string | null = '0';
  while (cursor !== null) {
    const reply: Reply = await caller.get(`/events?${name}=${cursor}&limit=${limit}`);
    expect(reply.status).toBe(200);
    // Where the position is not taken, this would go on for ever.
    expect(reply.body.items[0]?.seq ?? Number(cursor) + 1).toBe(Number(cursor) + 1);
    items.push(...reply.body.items);
    cursor = reply.body.nextCursor;
  }
  return items;
}

/** An org whose log has some of everything: people, loops, runs, leases, decisions, approvals, policies, odd texts. */
async function busyOrg(): Promise<TestOrg> {
  const org = await server.newOrg();
  const ann = await newRunner(org, { loop: { labels: { ключ: 'значение', '10': 'ten', '9': 'nine' } } });
  const odd = ['"\\/\b\f\n\r\t', '\u2028\u2029', 'naïve 🚦 \u{1F600}', '\u007f', ' <&> ', '\ue000\u{10000}'];
  for (const name of odd) expect((await org.admin.post('/teams', { name })).status).toBe(201);
  await org.admin.put('/policies/p/draft', {
    defaults: { deploy: 'allow' },
    rules: [{ id: 'ask', effect: 'require_approval', actions: ['deploy'], reason: 'x' }],
  });
  await org.admin.post('/policies/p/publish');
  for (let i = 0; i < 5; i += 1) {
    await ann.acquire({ paths: [`é/${i} 🚦.ts`], patterns: [`dir${i}/**`], purpose: odd[i]! });
    await ann.admit({ paths: [`g${i}`] });
    await ann.caller.post(`/runs/${ann.runId}/heartbeat`, {
      epoch: 1,
      iteration: i + 1,
      usage: { costUsd: 0.1 + i * 0.2, inputTokens: 9_007_199_254_740_991, model: 'm' },
    });
  }
  const subject = {
    repo: 'acme/shop',
    service: 's',
    environment: 'e',
    amount: 1e21,
    tiny: 5e-324,
    minus: -0,
    third: 1 / 3,
  };
  const { body } = await ann.caller.post('/decisions', { action: 'deploy', subject });
  await org.admin.post(`/approvals/${body.approvalId}/votes`, { verdict: 'reject', comment: '\u{1F6A6}' });
  await ann.caller.post(`/runs/${ann.runId}/finish`, { epoch: 1, outcome: { status: 'succeeded', summary: 'ok' } });
  return org;
}

describe('reading the log', () => {
  it('gives 1, 2, 3 … in order, whatever the size of the page, and goes on where a page ended', async () => {
    const org = await busyOrg();
    const whole = await all(org.admin);
    expect(seqs(whole)).toEqual(range(1, whole.length));
    expect(whole.length).toBeGreaterThan(25);
    for (const limit of [1, 7, whole.length - 1, whole.length]) expect(await all(org.admin, limit)).toEqual(whole);
    const tail = (await org.admin.get(`/events?after=${whole.length - 3}`)).body;
    expect([seqs(tail.items), tail.nextCursor]).toEqual([range(whole.length - 2, whole.length), null]);
    expect((await org.admin.get(`/events?after=${whole.length}`)).body).toEqual({ items: [], nextCursor: null });
    expect((await org.admin.get('/events?after=9007199254740991')).body).toEqual({ items: [], nextCursor: null });
    const times = whole.map(({ at }) => at);
    for (const at of times) expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it.each(['after=-1', 'after=x', 'after=1.5', 'after=9007199254740992', 'limit=0', 'limit=501', 'limit=x'])(
    'refuses ?%s',
    async (query) => {
      const { admin } = await server.newOrg();
      expect(await admin.get(`/events?${query}`)).toMatchObject({ status: 422, body: { code: 'invalid_request' } });
    },
  );

  it('takes its nextCursor as `cursor`, as every list does, or as `after`, but not both', async () => {
    const org = await server.newOrg();
    for (const name of ['red', 'blue', 'green']) await org.team(name);
    const whole = await all(org.admin);
    expect(await all(org.admin, 1, 'cursor')).toEqual(whole);
    expect((await org.admin.get('/events')).body.items).toEqual(whole);
    for (const both of ['after=1&cursor=2', 'cursor=0&after=0']) {
      const { status, body } = await org.admin.get(`/events?${both}`);
      expect([status, body.code, body.errors[0].path]).toEqual([422, 'invalid_request', 'query.cursor']);
    }
    expect((await org.admin.get('/events?cursor=x')).body.code).toBe('invalid_request');
  });

  it('gives two servers that write at once one order without a gap or a double', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const there = second.caller(ann.caller.secret);
    const writes = range(1, 60).map((i) => {
      const wish = { repo: 'acme/shop', runId: ann.runId, paths: [`f${i}`] };
      if (i % 3 === 0) return org.admin.post('/teams', { name: `t${i}` });
      return (i % 2 ? ann.caller : there).post('/leases', wish);
    });
    const statuses = new Set((await Promise.all(writes)).map(({ status }) => status));
    expect(statuses).toEqual(new Set([201]));
    const whole = await all(second.caller(org.admin.secret));
    expect(seqs(whole)).toEqual(range(1, whole.length));
    expect(whole.filter(({ kind }) => kind === 'lease.granted')).toHaveLength(40);
    expect(firstBroken(whole)).toBeNull();
  });
});

describe('the chain of hashes', () => {
  it('can be recomputed from what the API shows, whatever texts and numbers the events hold', async () => {
    const org = await busyOrg();
    const whole = await all(org.admin);
    expect(firstBroken(whole)).toBeNull();
    const [head] = await server.sql(`SELECT seq::int, encode(hash, 'hex') AS hash FROM org_head WHERE org_id = $1`, [
      org.id,
    ]);
    expect(head).toEqual({ seq: whole.length, hash: whole.at(-1)!.hash });
  });

  it.each([
    ['the data', `data = data || '{"name": "other"}'`],
    ['the actor', `actor = jsonb_set(actor, '{role}', '"viewer"')`],
    ['the subject', `subject = jsonb_set(subject, '{kind}', '"other"')`],
    ['the kind', `kind = 'team.destroyed'`],
    ['the time', `at = at + interval '1 ms'`],
  ])('breaks at an event of which %s was changed', async (_name, change) => {
    const org = await server.newOrg();
    for (let i = 0; i < 5; i += 1) await org.team(`t${i}`);
    await server.sql(`UPDATE event SET ${change} WHERE org_id = $1 AND seq = 4`, [org.id]);
    expect(firstBroken(await all(org.admin))).toBe(4);
  });

  it('breaks where an event was removed, put elsewhere, or made to fit again by itself', async () => {
    const make = async () => {
      const org = await server.newOrg();
      for (let i = 0; i < 5; i += 1) await org.team(`t${i}`);
      return org;
    };
    const gone = await make();
    await server.sql('DELETE FROM event WHERE org_id = $1 AND seq = 4', [gone.id]);
    expect(firstBroken(await all(gone.admin))).toBe(5);
    const swapped = await make();
    await server.sql('UPDATE event SET seq = 9 - seq + 100 WHERE org_id = $1 AND seq IN (4, 5)', [swapped.id]);
    await server.sql('UPDATE event SET seq = seq - 100 WHERE org_id = $1 AND seq > 100', [swapped.id]);
    expect(firstBroken(await all(swapped.admin))).toBe(4);
    // Whoever changes an event and its hash must change every later hash too, up to the head's.
    const forged = await make();
    const [before, event] = (await all(forged.admin)).slice(2, 4) as [Shown, Shown];
    const { actor, at, kind, subject } = event;
    const data = { name: 'forged' };
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(4n);
    const digest = sha256(Buffer.from(canonical({ actor, at, data, kind, subject })));
    const hash = sha256(Buffer.from(before.hash, 'hex'), number, digest);
    await server.sql('UPDATE event SET data = $2, hash = $3 WHERE org_id = $1 AND seq = 4', [forged.id, data, hash]);
    expect(firstBroken(await all(forged.admin))).toBe(5);
  });
});
