import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Caller, type Reply, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner, REPO } from '../leases/support.ts';
import { wholeDatabase, writtenForms } from './support.ts';

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

const outcome = ({ status, body }: Reply) => [status, body.code];
const REFUSED = [401, 'unauthenticated'];
const idempotent = (key: string = randomUUID()) => ({ 'idempotency-key': key });
const revoke = (org: TestOrg, keyId: string) => second.caller(org.admin.secret).delete(`/api-keys/${keyId}`);

describe('an API key', () => {
  it('is shown with its secret once, and is listed, logged and stored without it', async () => {
    const org = await server.newOrg();
    const made = await org.admin.post('/api-keys', { name: 'ci', role: 'viewer' });
    expect(made.status).toBe(201);
    const { secret, ...shown } = made.body;
    expect(secret).toMatch(/^sbx_[A-Za-z0-9_-]{43}$/);
    const listed = (await org.admin.get('/api-keys')).body.items;
    expect(listed.find(({ id }: { id: string }) => id === shown.id)).toEqual(shown);
    expect(JSON.stringify([listed, await org.events()])).not.toContain(secret);
    const dump = await wholeDatabase(server);
    expect(dump).toContain(shown.id);
    for (const form of writtenForms(secret)) expect(dump).not.toContain(form);
    const [row] = await server.sql(`SELECT hash = sha256($2::text::bytea) AS hashed FROM api_key WHERE id = $1`, [
      shown.id,
      secret,
    ]);
    expect(row).toEqual({ hashed: true });
  });

  it('is created once for one Idempotency-Key; the kept answer is sealed, also from other keys of the org', async () => {
    const org = await server.newOrg();
    const body = { name: 'ci', role: 'viewer' };
    const headers = idempotent();
    const replies = await Promise.all(
      Array.from({ length: 6 }, (_, i) => {
        const caller = i % 2 ? org.admin : second.caller(org.admin.secret);
        return caller.post('/api-keys', body, headers);
      }),
    );
    expect(new Set(replies.map((reply) => JSON.stringify([reply.status, reply.body]))).size).toBe(1);
    const { secret } = replies[0]!.body;
    expect(await server.caller(secret).get('/org')).toMatchObject({ status: 200 });
    const other = await org.admin.post('/api-keys', { ...body, role: 'admin' }, headers);
    expect(outcome(other)).toEqual([422, 'idempotency_mismatch']);
    // Another key of the org has a key space of its own: it gets a key of its own, never the first one's secret.
    const another = await org.key('admin');
    expect((await another.post('/api-keys', body, headers)).body.secret).not.toBe(secret);
    const dump = await wholeDatabase(server);
    for (const form of writtenForms(secret)) expect(dump).not.toContain(form);
  });

  it('is bound only to a member and a loop of its org', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const made = await org.key('loop', { memberId: ann.caller.memberId, loopId: ann.loopId });
    const [row] = await server.sql('SELECT member_id, loop_id FROM api_key WHERE id = $1', [made.keyId]);
    expect(row).toEqual({ member_id: ann.caller.memberId, loop_id: ann.loopId });
    const count = async () => (await org.admin.get('/api-keys')).body.items.length;
    const before = await count();
    for (const wrong of [{ memberId: randomUUID() }, { loopId: randomUUID() }]) {
      const refused = await org.admin.post('/api-keys', { name: 'x', role: 'loop', ...wrong });
      expect(outcome(refused)).toEqual([404, 'not_found']);
    }
    for (const wrong of [{ role: 'root' }, { role: 'admin ' }, { name: '' }, { expiresAt: 'tomorrow' }, { extra: 1 }]) {
      const refused = await org.admin.post('/api-keys', { name: 'x', role: 'loop', ...wrong });
      expect(outcome(refused)).toEqual([422, 'invalid_request']);
    }
    expect(await count()).toBe(before);
  });

  it('records when it was last used', async () => {
    const org = await server.newOrg();
    const key = await org.key('viewer');
    const lastUsed = async () =>
      (await org.admin.get('/api-keys')).body.items.find(({ id }: { id: string }) => id === key.keyId).lastUsedAt;
    expect(await lastUsed()).toBeNull();
    await key.get('/org');
    await expect.poll(lastUsed, { timeout: 20_000 }).not.toBeNull();
    expect(Math.abs(Date.parse(await lastUsed()) - Date.now())).toBeLessThan(60_000);
    // Being used is no event: the log is for what somebody did to the org.
    expect((await org.events()).map(({ kind }) => kind)).toEqual(['org.created', 'api_key.created', 'api_key.created']);
  });

  it.each(['sbx_', `sbx_${'a'.repeat(43)}`, 'x'.repeat(600), "' OR 1=1 --", 'sbx_\u00e9'])(
    'is not any other token, like %j',
    async (token) => {
      const headers = { authorization: `Bearer ${token}` };
      const refused = await fetch(`${server.url}/api/v1/org`, { headers });
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual(REFUSED);
    },
  );

  it('counts only as a bearer token, in any case of the scheme', async () => {
    const { admin } = await server.newOrg();
    const send = async (authorization: string) =>
      (await fetch(`${server.url}/api/v1/org`, { headers: { authorization } })).status;
    expect(await send(`bearer ${admin.secret}`)).toBe(200);
    expect(await send(`Basic ${Buffer.from(`:${admin.secret}`).toString('base64')}`)).toBe(401);
    expect(await send(admin.secret)).toBe(401);
    expect((await fetch(`${server.url}/api/v1/org?apiKey=${admin.secret}&access_token=${admin.secret}`)).status).toBe(
      401,
    );
  });
});

describe('a key that expires', () => {
  it('is not created with an expiry that is past', async () => {
    const org = await server.newOrg();
    const body = { name: 'x', role: 'viewer', expiresAt: new Date(Date.now() - 1000).toISOString() };
    expect(outcome(await org.admin.post('/api-keys', body))).toEqual([422, 'expiry_past']);
  });

  it('takes an expiry with any offset and tells it in UTC', async () => {
    const org = await server.newOrg();
    const body = { name: 'x', role: 'viewer', expiresAt: '2999-01-01T02:00:00+02:00' };
    expect((await org.admin.post('/api-keys', body)).body.expiresAt).toBe('2999-01-01T00:00:00.000Z');
  });

  it('works until then and never after, by the clock of the database, on a server that knows it already', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { caller } = ann;
    expect((await caller.get('/org')).status).toBe(200);
    await server.sql(`UPDATE api_key SET expires_at = clock_timestamp() - interval '1 ms' WHERE id = $1`, [
      caller.keyId,
    ]);
    for (const reply of [await caller.get('/org'), await ann.acquire({ paths: ['a'] })])
      expect(outcome(reply)).toEqual(REFUSED);
    expect(outcome(await second.caller(caller.secret).get('/org'))).toEqual(REFUSED);
  });
});

describe('revoking a key', () => {
  it('is told once in the log, is the same when repeated, and 404 for what is no key', async () => {
    const org = await server.newOrg();
    const key = await org.key('viewer');
    const first = await org.admin.delete(`/api-keys/${key.keyId}`);
    expect(first).toMatchObject({ status: 200, body: { id: key.keyId, revokedAt: expect.any(String) } });
    expect((await org.admin.delete(`/api-keys/${key.keyId}`)).body).toEqual(first.body);
    const told = (await org.events()).filter(({ kind }) => kind === 'api_key.revoked');
    expect(told.map(({ subject }) => subject)).toEqual([{ kind: 'api_key', id: key.keyId }]);
    expect(outcome(await org.admin.delete(`/api-keys/${randomUUID()}`))).toEqual([404, 'not_found']);
    expect((await org.admin.delete('/api-keys/7')).status).toBe(422);
  });

  /** Every kind of request that a server could answer out of what it remembers of the key. */
  const NEXT_REQUESTS: readonly [string, (run: { caller: Caller; runId: string; loopId: string }) => Promise<Reply>][] =
    [
      ['a read', ({ caller }) => caller.get('/org')],
      ['a read of the log', ({ caller }) => caller.get('/events')],
      ['a list of leases', ({ caller }) => caller.get(`/leases?repo=${REPO}`)],
      ['a verification', ({ caller }) => caller.post('/leases/verify', { repo: REPO, paths: ['a'], leases: [] })],
      ['a write', ({ caller }) => caller.post('/loops', { name: 'other', repo: REPO })],
      ['a heartbeat', ({ caller, runId }) => caller.post(`/runs/${runId}/heartbeat`, { epoch: 1 })],
      ['a lease', ({ caller, runId }) => caller.post('/leases', { repo: REPO, runId, paths: ['a'] })],
      [
        'an admission',
        ({ caller, runId }) => caller.post('/admissions', { repo: REPO, runId, action: 'path.edit', paths: ['a'] }),
      ],
      [
        'a decision',
        ({ caller }) =>
          caller.post('/decisions', { action: 'deploy', subject: { repo: REPO, service: 's', environment: 'e' } }),
      ],
      ['a vote', ({ caller }) => caller.post(`/approvals/${randomUUID()}/votes`, { verdict: 'approve' })],
      ['a held read', ({ caller }) => caller.get(`/approvals/${randomUUID()}?waitSeconds=1`)],
    ];

  it.each(NEXT_REQUESTS)('through one server refuses %s on another, which knew the key', async (_name, request) => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const warm = await ann.acquire({ paths: ['warm'] });
    expect(warm.status).toBe(201);
    expect((await ann.caller.get('/org')).status).toBe(200);
    expect((await revoke(org, ann.caller.keyId)).status).toBe(200);
    const before = await org.events();
    expect(outcome(await request({ ...ann, runId: ann.runId }))).toEqual(REFUSED);
    expect(await org.events()).toEqual(before);
  });

  it('refuses an Idempotency-Key replay of what the key created before', async () => {
    const org = await server.newOrg();
    const key = await org.key('admin');
    const headers = idempotent();
    expect((await key.post('/api-keys', { name: 'x', role: 'admin' }, headers)).status).toBe(201);
    await revoke(org, key.keyId);
    expect(outcome(await key.post('/api-keys', { name: 'x', role: 'admin' }, headers))).toEqual(REFUSED);
  });

  it('while its requests are under way leaves each of them done or not begun', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const admin = await org.key('admin');
    const replies: Reply[] = [];
    /** Sends until it is refused, as a client would that does not know yet. */
    const keepSending = async (send: (name: string) => Promise<Reply>, sender: number) => {
      for (let i = 0; i < 500; i += 1) {
        const reply = await send(`${sender}-${i}`);
        replies.push(reply);
        if (reply.status === 401) return;
      }
    };
    const senders = [
      (name: string) => ann.acquire({ paths: [`f${name}`] }, idempotent(`lease-${name}`)),
      (name: string) => admin.post('/teams', { name }, idempotent(`team-${name}`)),
      (name: string) => ann.admit({ paths: [`g${name}`] }),
    ];
    const sending = Promise.all(senders.flatMap((send) => [1, 2, 3].map((sender) => keepSending(send, sender))));
    const oneOfEachKind = () =>
      ['lease', 'memberIds', 'decision'].every((field) => replies.some(({ body }) => field in body));
    await expect.poll(oneOfEachKind, { timeout: 20_000 }).toBe(true);
    const revoked = await Promise.all([revoke(org, ann.caller.keyId), revoke(org, admin.keyId)]);
    expect(revoked.map(({ status }) => status)).toEqual([200, 200]);
    const afterwards = await Promise.all([ann.acquire({ paths: ['late'] }), admin.post('/teams', { name: 'late' })]);
    expect(afterwards.map(outcome)).toEqual([REFUSED, REFUSED]);
    await sending;
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200, 201, 401]));
    await expectNothingHalfWritten(org, replies);
  });
});

/** Rows, events, kept answers and replies must tell of the same leases, teams and decisions. */
async function expectNothingHalfWritten(org: TestOrg, replies: readonly Reply[]): Promise<void> {
  const sorted = (list: readonly string[]) => list.toSorted((a, b) => (a < b ? -1 : 1));
  const ids = async (sql: string) => sorted((await server.sql<{ id: string }>(sql, [org.id])).map(({ id }) => id));
  const events = await org.events();
  const told = (kind: string) => events.filter((event) => event.kind === kind).map(({ subject }) => subject.id);
  const answered = replies.filter(({ status }) => status < 300).map(({ body }) => body);

  const leases = await ids('SELECT id FROM lease WHERE org_id = $1');
  expect(sorted(told('lease.granted'))).toEqual(leases);
  const leasesOfAnswers = answered.flatMap(({ lease }) => (lease ? [lease.id] : []));
  expect(sorted(leasesOfAnswers)).toEqual(leases);
  expect(await ids('SELECT DISTINCT lease_id AS id FROM lease_key WHERE org_id = $1')).toEqual(leases);

  const teams = await ids('SELECT id FROM team WHERE org_id = $1');
  expect(sorted(told('team.created'))).toEqual(teams);
  expect(sorted(answered.flatMap((body) => ('memberIds' in body ? [body.id] : [])))).toEqual(teams);

  const decisions = await ids('SELECT id FROM decision WHERE org_id = $1');
  expect(sorted(answered.flatMap(({ decision }) => (decision ? [decision.id] : [])))).toEqual(decisions);

  const kept = await ids(`SELECT key AS id FROM idempotency WHERE org_id = $1 AND status BETWEEN 200 AND 299`);
  expect(kept).toHaveLength(teams.length + answered.filter((body) => body.lease && !body.decision).length);
}
