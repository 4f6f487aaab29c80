import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { type Committed, OneCall } from '../../../src/modules/admission/hot/one-call/one-call.ts';
import { Refusals } from '../../../src/modules/admission/hot/refusals.ts';
import { type BreakingProxy, type Fate, startBreakingProxy } from '../../support/breaking-proxy.ts';
import { createTestDatabase, type TestDatabase, withClient } from '../../support/database.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { firstBroken } from '../activity/chain.ts';
import { newRunner, REPO, type Runner, runnerOf } from '../leases/support.ts';

let database: TestDatabase;
let proxy: BreakingProxy;
let server: TestServer;
let other: TestServer;
let attempts: MockInstance<OneCall['attempt']>;

beforeAll(async () => {
  database = await createTestDatabase();
  const url = new URL(database.url);
  proxy = await startBreakingProxy({ host: url.hostname, port: Number(url.port) });
  proxy.at = 'hot_once\0';
  url.host = `127.0.0.1:${proxy.port}`;
  server = await startTestServer({ database, hotUrl: url.href, start: false });
  other = await startTestServer({ database, start: false });
});
afterAll(async () => {
  await other?.close();
  await server?.close();
  await proxy?.close();
  await database?.drop();
});
beforeEach(() => {
  attempts = vi.spyOn(OneCall.prototype, 'attempt');
});
afterEach(() => attempts.mockRestore());

/** What became of the calls since: how many requests each one took, null where it wrote nothing. */
async function calls(): Promise<(number | null)[]> {
  const made = await Promise.all(attempts.mock.results.map(({ value }) => value as Promise<Committed | null>));
  attempts.mockClear();
  return made.map((committed) => committed?.taken.length ?? null);
}

interface Known {
  readonly org: TestOrg;
  readonly ann: Runner;
}

/** An org and a run that the server knows already, from a request decided the general way. */
async function known(options: Parameters<typeof newRunner>[1] = {}): Promise<Known> {
  const org = await server.newOrg();
  const ann = await newRunner(org, options);
  expect(await ann.admit({ paths: ['first'] })).toMatchObject({ status: 200 });
  expect(await calls()).toEqual([]);
  return { org, ann };
}

interface Told {
  readonly id: string;
  readonly fence: number;
}

const give = ({ caller }: Runner, { id, fence }: Told) => caller.post(`/leases/${id}/release`, { fence });
const beat = (runner: Runner) => through(other, runner).caller.post(`/runs/${runner.runId}/heartbeat`, { epoch: 1 });

const through = (elsewhere: TestServer, { caller, loopId, runId }: Runner): Runner =>
  runnerOf({ ...caller, ...elsewhere.caller(caller.secret), memberId: caller.memberId }, loopId, runId);

describe('a batch in which nothing overlaps anything', () => {
  it('is one call; answer, row and event tell the same, by the time of the commit, and the log is whole', async () => {
    const { org, ann } = await known();
    const purpose = '~"\\\n2026-01-01T00:00:00.000Z ~+900~ \u{1F6A6}';
    const acquired = await ann.acquire({ paths: ['a', 'app/[id]/"x\\y".tsx'], ttlSeconds: 60, purpose });
    expect(await calls()).toEqual([1]);
    const admitted = await ann.admit({ paths: ['B'], purpose });
    expect(await calls()).toEqual([1]);
    const events = (await org.admin.get('/events?limit=500')).body.items;
    expect(firstBroken(events)).toBeNull();
    for (const { lease } of [acquired.body, admitted.body]) {
      const [row] = await server.sql<{ granted_at: Date; expires_at: Date; paths: string[]; fence: string }>(
        'SELECT granted_at, expires_at, paths, fence FROM lease WHERE org_id = $1 AND id = $2',
        [org.id, lease.id],
      );
      const event = events[lease.fence - 1];
      expect(lease).toMatchObject({ purpose, runId: ann.runId, state: 'live', paths: row!.paths });
      expect(Number(row!.fence)).toBe(lease.fence);
      expect([row!.granted_at.toISOString(), event.at]).toEqual([lease.grantedAt, lease.grantedAt]);
      expect([row!.expires_at.toISOString(), event.data.expiresAt]).toEqual([lease.expiresAt, lease.expiresAt]);
      expect(Date.parse(lease.expiresAt) - Date.parse(lease.grantedAt)).toBe(lease.ttlSeconds * 1000);
      expect(Date.parse(lease.closedUntil) - Date.parse(lease.expiresAt)).toBe(15_000);
      expect(event).toMatchObject({ kind: 'lease.granted', subject: { id: lease.id }, data: { purpose, repo: REPO } });
    }
    const [decision] = await server.sql<{ at: Date; outcome: string }>(
      'SELECT at, outcome FROM decision WHERE org_id = $1 AND id = $2',
      [org.id, admitted.body.decision.id],
    );
    expect(decision).toEqual({ at: new Date(admitted.body.lease.grantedAt), outcome: 'allow' });
  });

  it('takes many at once; two of them that want one path go the general way, and one gets it', async () => {
    const { org, ann } = await known();
    const ben = await newRunner(org);
    await ben.admit({ paths: ['second'] });
    await calls();
    const wishes = ['a', 'b', 'c', 'same'].flatMap((path) => [
      ann.acquire({ paths: [path === 'same' ? path : `ann/${path}`] }),
      ben.acquire({ paths: [path === 'same' ? path : `ben/${path}`] }),
    ]);
    const statuses = (await Promise.all(wishes)).map(({ status }) => status);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([201, 201, 201, 201, 201, 201, 201, 409]);
    expect((await calls()).some((taken) => taken !== null && taken > 1)).toBe(true);
  });

  it('extends leases, by the time of the commit', async () => {
    const { org, ann } = await known();
    const { body: granted } = await ann.acquire({ paths: ['a'], ttlSeconds: 60 });
    await calls();
    for (const [ttlSeconds, expected] of [
      [90, 90],
      [undefined, 90],
      [60, 90],
    ] as const) {
      const { status, body } = await ann.caller.post(`/leases/${granted.lease.id}/renew`, {
        fence: granted.lease.fence,
        ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
      });
      expect(status).toBe(200);
      expect(body.lease).toMatchObject({
        ...granted.lease,
        ttlSeconds: expected,
        expiresAt: expect.any(String),
        closedUntil: expect.any(String),
      });
      // Nothing to extend is nothing to write.
      expect(await calls()).toEqual([ttlSeconds === 60 ? null : 1]);
      const [row] = await server.sql<{ expires_at: Date }>(
        'SELECT expires_at FROM lease WHERE org_id = $1 AND id = $2',
        [org.id, granted.lease.id],
      );
      expect(row!.expires_at.toISOString()).toBe(body.lease.expiresAt);
      const { at, data } = (await org.admin.get('/events?limit=500')).body.items.at(-1);
      expect(data).toEqual({ fence: granted.lease.fence, expiresAt: body.lease.expiresAt });
      expect(Date.parse(data.expiresAt) - Date.parse(at)).toBe(90_000);
    }
    expect(firstBroken((await org.admin.get('/events?limit=500')).body.items)).toBeNull();
  });

  it('gives leases back, at the time of the commit', async () => {
    const { org, ann } = await known();
    const { lease } = (await ann.acquire({ paths: ['a', 'b'] })).body;
    await calls();
    const release = (fence: number) => ann.caller.post(`/leases/${lease.id}/release`, { fence });
    expect(await release(lease.fence + 1)).toMatchObject({ status: 409, body: { code: 'fence_stale' } });
    await calls();
    expect(await release(lease.fence)).toMatchObject({ status: 200, body: { lease: { ...lease, state: 'over' } } });
    expect(await calls()).toEqual([1]);
    const [row] = await server.sql<{ ended_at: Date; end_reason: string; keys: number }>(
      `SELECT ended_at, end_reason, (SELECT count(*)::int FROM lease_key k WHERE k.lease_id = l.id) AS keys FROM lease l WHERE id = $1`,
      [lease.id],
    );
    const events = (await org.admin.get('/events?limit=500')).body.items;
    expect(row).toEqual({ ended_at: new Date(events.at(-1).at), end_reason: 'released', keys: 0 });
    expect(events.at(-1)).toMatchObject({
      kind: 'lease.released',
      subject: { id: lease.id },
      data: { fence: lease.fence },
    });
    expect(firstBroken(events)).toBeNull();
    expect(await release(lease.fence)).toMatchObject({ status: 409, body: { code: 'fence_stale' } });
    const ben = await newRunner(org);
    expect((await ben.acquire({ paths: ['b'] })).status).toBe(201);
  });

  it.each([
    ['has been extended by a heartbeat elsewhere', async (ann: Runner) => void (await beat(ann)), 200],
    [
      'has been released elsewhere',
      async (ann: Runner, lease: Told) => void (await give(through(other, ann), lease)),
      409,
    ],
    [
      'has expired',
      async (_ann: Runner, lease: Told) =>
        void (await server.sql(`UPDATE lease SET expires_at = clock_timestamp() WHERE id = $1`, [lease.id])),
      409,
    ],
  ])('does not give back a lease that %s without a look at it', async (_name, change, status) => {
    const { ann } = await known();
    const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
    await change(ann, lease);
    await calls();
    const answer = await give(ann, lease);
    expect(answer.status).toBe(status);
    expect(await calls()).toEqual([null]);
    if (status !== 200) return;
    const [row] = await server.sql<{ expires_at: Date }>('SELECT expires_at FROM lease WHERE id = $1', [lease.id]);
    expect(answer.body.lease.expiresAt).toBe(row!.expires_at.toISOString());
  });

  it('a lease that somebody waits for is given back the general way, and is theirs', async () => {
    const { org, ann } = await known();
    const ben = await newRunner(org);
    const { lease } = (await ann.acquire({ paths: ['a'] })).body;
    // Through the other server: this one does not know of anybody who waits.
    const waiting = through(other, ben).acquire({ paths: ['a'], waitSeconds: 20 });
    while ((await org.admin.get('/lease-tickets')).body.items.length === 0) await new Promise(setImmediate);
    await calls();
    expect((await give(ann, lease)).status).toBe(200);
    expect(await calls()).toEqual([null]);
    expect((await waiting).status).toBe(201);
  });

  it('writes the beat of a run that has been silent for long', async () => {
    const { org, ann } = await known();
    await server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 minute' WHERE org_id = $1`, [org.id]);
    await ann.acquire({ paths: ['not/known/to/be/silent'], patterns: ['x/*'] });
    await server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 minute' WHERE org_id = $1`, [org.id]);
    await ann.acquire({ paths: ['a'] });
    expect(await calls()).toEqual([1]);
    const [run] = await server.sql(
      `SELECT last_beat_at > clock_timestamp() - interval '20 seconds' AS beaten FROM run WHERE org_id = $1 AND id = $2`,
      [org.id, ann.runId],
    );
    expect(run).toEqual({ beaten: true });
  });
});

describe('what a call finds in the way is decided by what is read', () => {
  it('a lease on the path, which another server gave', async () => {
    const { org, ann } = await known();
    const ben = through(other, await newRunner(org));
    const { body: held } = await ben.acquire({ paths: ['a'] });
    const refused = await ann.acquire({ paths: ['free', 'a'] });
    expect(await calls()).toContain(null);
    expect(refused).toMatchObject({ status: 409, body: { code: 'lease_conflict', free: ['free'] } });
    expect(refused.body.conflicts[0]).toMatchObject({ witness: 'a', leaseId: held.lease.id });
    expect(await ann.admit({ paths: ['a'] })).toMatchObject({ status: 200, body: { outcome: 'wait' } });
  });

  it.each(['src/**', '**/*.ts', 'src/*.ts', 'SRC/?.ts'])('a lease on %s', async (pattern) => {
    const { org, ann } = await known();
    const { body: repos } = await org.admin.get(`/repos?name=${REPO}`);
    await server.sql(`DELETE FROM lease_key WHERE org_id = $1`, [org.id]);
    await org.admin.patch(`/repos/${repos.items[0].id}`, { caseSensitive: false });
    await ann.acquire({ paths: ['facts/are/read/anew'] });
    await calls();
    const ben = through(other, await newRunner(org));
    expect(await ben.acquire({ patterns: [pattern] })).toMatchObject({ status: 201 });
    expect(await ann.acquire({ paths: ['src/x.ts'] })).toMatchObject({ status: 409 });
    expect(await calls()).toEqual([null]);
    expect(await ann.acquire({ paths: ['other.md'] })).toMatchObject({ status: 201 });
    expect(await calls()).toEqual([1]);
  });

  it('a lease on a pattern, whether or not the path has an extension', async () => {
    const { org, ann } = await known();
    const ben = through(other, await newRunner(org));
    expect(await ben.acquire({ patterns: ['tools/*/Makefile', 'docs/**/*.md'] })).toMatchObject({ status: 201 });
    for (const path of ['tools/a/Makefile', 'docs/a.md'])
      expect(await ann.acquire({ paths: [path] })).toMatchObject({ status: 409 });
    expect(await calls()).toEqual([null, null]);
    const { body } = await ann.acquire({ paths: ['other/Makefile'] });
    await ann.acquire({ paths: ['docs/a', 'docs/A.TS'] });
    expect(await calls()).toEqual([1, 1]);
    const keys = await server.sql(
      `SELECT ordinal, kind, key, tail FROM lease_key WHERE org_id = $1 AND key <> 'first' AND kind = 'literal' ORDER BY key`,
      [org.id],
    );
    expect(keys).toEqual([
      { ordinal: 0, kind: 'literal', key: 'docs/a', tail: '' },
      { ordinal: 1, kind: 'literal', key: 'docs/a.ts', tail: '.ts' },
      { ordinal: 0, kind: 'literal', key: 'other/makefile', tail: '' },
    ]);
    // Seen from the other side: its keys are found as those of any other lease.
    expect(await ben.acquire({ patterns: ['other/Make*'] })).toMatchObject({
      status: 409,
      body: { conflicts: [{ leaseId: body.lease.id }] },
    });
  });

  it('somebody who waits for the path', async () => {
    const { org, ann } = await known();
    const [ben, cid] = await Promise.all([newRunner(org), newRunner(org)]);
    await through(other, ben).acquire({ paths: ['a'] });
    const waiting = await through(other, cid).acquire({ paths: ['a', 'b'], waitSeconds: 0.05 });
    expect(waiting.status).toBe(202);
    expect(await ann.acquire({ paths: ['b'] })).toMatchObject({ status: 409, body: { code: 'lease_conflict' } });
    expect(await calls()).toContain(null);
  });

  it.each([
    [
      'that was released',
      (org: TestOrg, ann: Runner, lease: { id: string; fence: number }) =>
        through(other, ann)
          .caller.post(`/leases/${lease.id}/release`, { fence: lease.fence })
          .then(() => org),
    ],
    [
      'that was revoked',
      (org: TestOrg, _ann: Runner, lease: { id: string }) =>
        other.caller(org.admin.secret).post(`/leases/${lease.id}/revoke`, { reason: 'mine' }),
    ],
    [
      'that has expired',
      (org: TestOrg, _ann: Runner, lease: { id: string }) =>
        server.sql(`UPDATE lease SET expires_at = clock_timestamp() WHERE org_id = $1 AND id = $2`, [org.id, lease.id]),
    ],
  ])('a lease to be renewed %s', async (_name, change) => {
    const { org, ann } = await known();
    const { lease } = (await ann.acquire({ paths: ['a'] })).body;
    await calls();
    await change(org, ann, lease);
    await calls();
    const renewal = { fence: lease.fence, ttlSeconds: 2000 };
    expect(await ann.caller.post(`/leases/${lease.id}/renew`, renewal)).toMatchObject({
      status: 409,
      body: { code: 'fence_stale' },
    });
    expect(await calls()).toEqual([null]);
  });

  it('a lease that was renewed for another time', async () => {
    const { ann } = await known();
    const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
    await through(other, ann).caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence, ttlSeconds: 2000 });
    await calls();
    const { body } = await ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence });
    expect(body.lease.ttlSeconds).toBe(2000);
    expect(await calls()).toEqual([null]);
  });

  it('a run that has finished', async () => {
    const { ann } = await known();
    await through(other, ann).caller.post(`/runs/${ann.runId}/finish`, { epoch: 1, outcome: { status: 'succeeded' } });
    expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 409, body: { code: 'run_finished' } });
    expect(await calls()).toEqual([null]);
  });

  it('a key that was revoked', async () => {
    const { org, ann } = await known();
    await other.caller(org.admin.secret).delete(`/api-keys/${ann.caller.keyId}`);
    expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 401 });
    expect(await calls()).toEqual([null]);
  });

  it('a halt', async () => {
    const { org, ann } = await known();
    await other.caller(org.admin.secret).post('/halts', { scope: { kind: 'org' }, reason: 'stop' });
    expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 409, body: { code: 'halted' } });
    expect(await calls()).toEqual([null]);
  });

  it('a policy that was published', async () => {
    const { org, ann } = await known();
    await publish(org, { id: 'no', effect: 'deny', actions: ['path.edit'], where: { path: { $glob: 'a' } } });
    expect(await ann.admit({ paths: ['a'] })).toMatchObject({
      body: { outcome: 'deny', decision: { policyVersion: 1 } },
    });
    expect(await calls()).toEqual([null]);
    expect(await ann.admit({ paths: ['b'] })).toMatchObject({ body: { outcome: 'allow' } });
    expect(await ann.admit({ paths: ['a'] })).toMatchObject({ body: { outcome: 'deny' } });
    expect(await calls()).toEqual([1, 1]);
  });

  it.each([
    [
      'a loop whose scope is another one',
      async ({ ann }: Known) => {
        const definition = { name: await loopName(ann), repo: REPO, scope: ['docs/**'] };
        expect((await through(other, ann).caller.post('/loops', definition)).status).toBe(201);
      },
    ],
    [
      'what the run has spent',
      async ({ ann }: Known) => {
        const usage = { costUsd: 3 };
        await through(other, ann).caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1, usage });
      },
    ],
  ])('%s', async (_name, change) => {
    const before = await known({ loop: { guardrails: { budgets: [{ per: 'run', usd: '2' }] } } });
    await change(before);
    expect(await before.ann.admit({ paths: ['a'] })).toMatchObject({ body: { outcome: 'deny' } });
    expect(await calls()).toEqual([null]);
  });

  it('settings, teams and members that have changed', async () => {
    const { org, ann } = await known();
    const elsewhere = other.caller(org.admin.secret);
    for (const change of [
      () => elsewhere.patch('/org/settings', { lockDelaySeconds: 40 }),
      () => elsewhere.post('/teams', { name: 'new' }),
    ]) {
      expect((await change()).status).toBeLessThan(300);
      const { body } = await ann.acquire({ paths: [`f${Math.random()}`] });
      expect(await calls()).toEqual([null]);
      expect(Date.parse(body.lease.closedUntil) - Date.parse(body.lease.expiresAt)).toBe(40_000);
    }
    await ann.acquire({ paths: ['last'] });
    expect(await calls()).toEqual([1]);
  });
});

describe('is not even tried', () => {
  it('for rules that look at the time, with an Idempotency-Key, and for a path that is known to be held', async () => {
    const { org, ann } = await known();
    await ann.acquire({ paths: ['a'] });
    await calls();
    expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 201 });
    expect(await ann.acquire({ paths: ['b'] }, { 'idempotency-key': 'k' })).toMatchObject({ status: 201 });
    const outside = { days: 'mon-fri', hours: '08:00-18:00', timeZone: 'Europe/Berlin' };
    await publish(org, {
      id: 'night',
      effect: 'deny',
      actions: ['path.edit'],
      where: { path: 'zzz', at: { $outside: outside } },
    });
    await ann.acquire({ paths: ['c'], patterns: ['c/*'] });
    await ann.admit({ paths: ['d'] });
    expect(await calls()).toEqual([]);
  });
});

describe('what another run is known to hold', () => {
  let looks: MockInstance<Refusals['of']>;
  beforeEach(() => {
    looks = vi.spyOn(Refusals.prototype, 'of');
  });
  afterEach(() => looks.mockRestore());
  const looked = async () => {
    const given = await Promise.all(looks.mock.results.map(({ value }) => value as Promise<{ code: string } | null>));
    looks.mockClear();
    return given.map((problem) => problem?.code ?? null);
  };

  it('is refused without a lock, and writes nothing', async () => {
    const { org, ann } = await known();
    const ben = await newRunner(org);
    const { lease } = (await ann.acquire({ paths: ['a'], purpose: 'why' })).body;
    const { body: before } = await org.admin.get('/events?limit=500');
    const refused = await withClient(database.url, async (client) => {
      await client.query('BEGIN');
      await client.query('SELECT FROM repo WHERE org_id = $1 FOR UPDATE', [org.id]);
      return ben.acquire({ paths: ['a', 'b'] });
    });
    expect(refused).toMatchObject({ status: 409, body: { code: 'lease_conflict', free: ['b'] } });
    expect(refused.body.conflicts).toMatchObject([{ witness: 'a', leaseId: lease.id, purpose: 'why' }]);
    expect(await looked()).toEqual(['lease_conflict']);
    expect((await org.admin.get('/events?limit=500')).body).toEqual(before);
  });

  it('is granted all the same if it has come free elsewhere, and to the run itself', async () => {
    const { org, ann } = await known();
    const ben = await newRunner(org);
    const { lease } = (await ann.acquire({ paths: ['a'] })).body;
    expect((await ann.acquire({ paths: ['a'] })).body.lease.id).toBe(lease.id);
    expect(await looked()).toEqual([]);
    expect((await give(through(other, ann), lease)).status).toBe(200);
    const granted = await Promise.all([ben.acquire({ paths: ['a'] }), ann.acquire({ paths: ['a'] })]);
    expect(granted.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409]);
    expect(await looked()).toContain(null);
  });

  it('is decided the general way for who waits, who repeats a request, and who may not ask', async () => {
    const { org, ann } = await known();
    const ben = await newRunner(org);
    await ann.acquire({ paths: ['a'] });
    expect(await ben.acquire({ paths: ['a'], waitSeconds: 0.001 })).toMatchObject({ status: 202 });
    const repeated = await Promise.all([1, 2].map(() => ben.acquire({ paths: ['a'] }, { 'idempotency-key': 'k' })));
    expect(repeated).toMatchObject([{ status: 409 }, { status: 409 }]);
    expect(await looked()).toEqual([]);
    const stranger = runnerOf(ann.caller, ben.loopId, ben.runId);
    expect(await stranger.acquire({ paths: ['a'] })).toMatchObject({ status: 403, body: { code: 'not_your_run' } });
    expect(await looked()).toEqual([null]);
  });
});

describe('a connection that breaks around the call', () => {
  it.each<Fate>(['lose-request', 'lose-answer'])(
    '%s: all are answered as it came out, and take effect once',
    async (fate) => {
      const { org, ann } = await known();
      const before = proxy.broken();
      proxy.fate = fate;
      const replies = await Promise.all(
        Array.from({ length: 5 }, (_, n) =>
          n % 2 === 0 ? ann.admit({ paths: [`f${n}`] }) : ann.acquire({ paths: [`f${n}`] }),
        ),
      );
      expect(proxy.broken()).toBe(before + 1);
      for (const { status } of replies) expect([200, 201]).toContain(status);
      const rows = await server.sql(
        `SELECT id, fence::int, granted_at FROM lease WHERE org_id = $1 AND NOT paths = '{first}' ORDER BY fence`,
        [org.id],
      );
      const told = replies.map(({ body: { lease } }) => ({
        id: lease.id,
        fence: lease.fence,
        granted_at: new Date(lease.grantedAt),
      }));
      expect(rows).toEqual(told.toSorted((a, b) => a.fence - b.fence));
      // The first, and the three that were asked: found, not decided once more.
      expect(await server.sql('SELECT FROM decision WHERE org_id = $1', [org.id])).toHaveLength(4);
      expect(firstBroken((await org.admin.get('/events?limit=500')).body.items)).toBeNull();
    },
  );

  it.each<Fate>(['lose-request', 'lose-answer'])('%s: what is given back is given back, and said so', async (fate) => {
    const { org, ann } = await known();
    const leases: Told[] = [];
    for (const path of ['a', 'b', 'c']) leases.push((await ann.acquire({ paths: [path] })).body.lease);
    const before = proxy.broken();
    proxy.fate = fate;
    const replies = await Promise.all(leases.map((lease) => give(ann, lease)));
    expect(proxy.broken()).toBe(before + 1);
    expect(replies).toMatchObject([{ status: 200 }, { status: 200 }, { status: 200 }]);
    const events = await org.events();
    expect(events.filter(({ kind }) => kind === 'lease.released')).toHaveLength(3);
    expect((await org.admin.get('/leases')).body.items.map(({ paths }: { paths: string[] }) => paths)).toEqual([
      ['first'],
    ]);
  });

  it('the call takes no effect when it comes too late to be waited for', async () => {
    const { org, ann } = await known();
    const [repo] = await server.sql<{ id: string }>('SELECT id FROM repo WHERE org_id = $1', [org.id]);
    await ann.acquire({ paths: ['a'] });
    const [head] = await server.sql<{ policy: number; halt: number; facts: number }>(
      'SELECT policy_version::int AS policy, halt_epoch::int AS halt, facts_version::int AS facts FROM org_head WHERE org_id = $1',
      [org.id],
    );
    const call = async (decidedAt: Date) => {
      const versions = [head!.policy, head!.halt, head!.facts];
      const event = JSON.stringify({ actor: {}, at: '~0~', data: {}, kind: 'x.y', subject: {} });
      const { rows } = await server.pools.hot.query<{ answer: string }>(
        `SELECT hot_once($1, $2, $3, $4, '{}', '{}', NULL, '~', '{0}', $5, '{0}', '{0}', '{}', '{}', '{}', '', '', NULL) AS answer`,
        [versions, decidedAt, org.id, [repo!.id], event],
      );
      return rows[0]!.answer;
    };
    const seq = async () =>
      (await server.sql<{ seq: number }>('SELECT seq::int FROM org_head WHERE org_id = $1', [org.id]))[0]!.seq;
    const before = await seq();
    expect(await call(new Date(Date.now() - 1500))).toBe('no: late');
    expect(await seq()).toBe(before);
    expect(await call(new Date())).toMatch(/^\d+ \d+$/);
    expect(await seq()).toBe(before + 1);
  });
});

async function publish(org: TestOrg, rule: Record<string, unknown>): Promise<void> {
  const admin = other.caller(org.admin.secret);
  const document = { name: 'house', defaults: { 'path.edit': 'allow' }, rules: [{ reason: 'because', ...rule }] };
  expect(await admin.put('/policies/house/draft', document)).toMatchObject({ status: 200 });
  expect((await admin.post('/policies/house/publish', {})).status).toBeLessThan(300);
}

async function loopName({ caller, loopId }: Runner): Promise<string> {
  return (await caller.get(`/loops/${loopId}`)).body.name;
}
