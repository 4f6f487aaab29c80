import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { OneCall } from '../../../src/modules/admission/hot/one-call/one-call.ts';
import type { Fate } from '../../support/breaking-proxy.ts';
import { firstBroken } from '../activity/chain.ts';
import { give, newRunner, REPO, type Runner, type Told, through } from '../leases/support.ts';
import { shortWay } from './short-way.ts';

const { way, calls, known } = shortWay();

const beat = (runner: Runner) =>
  through(way.other, runner).caller.post(`/runs/${runner.runId}/heartbeat`, { epoch: 1 });

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
      const [row] = await way.server.sql<{ granted_at: Date; expires_at: Date; paths: string[]; fence: string }>(
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
    const [decision] = await way.server.sql<{ at: Date; outcome: string }>(
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
      // What the server takes for the database's clock is behind it by as long as that took to read.
      await sleep(100);
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
      const [row] = await way.server.sql<{ expires_at: Date }>(
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

  it('tells of people by the names that they have now', async () => {
    const { ann } = await known();
    const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
    await way.server.sql(`UPDATE member SET name = 'Anne' WHERE id = $1`, [ann.caller.memberId]);
    // Decided the general way, it tells the server what has changed.
    expect((await ann.acquire({ paths: ['b'] })).status).toBe(201);
    await calls();
    const renewed = await ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence, ttlSeconds: 600 });
    expect(renewed).toMatchObject({ status: 200, body: { lease: { holder: { owner: { name: 'Anne' } } } } });
    expect(await calls()).toEqual([1]);
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
    const [row] = await way.server.sql<{ ended_at: Date; end_reason: string; keys: number }>(
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
      async (ann: Runner, lease: Told) => void (await give(through(way.other, ann), lease)),
      409,
    ],
    [
      'has expired',
      async (_ann: Runner, lease: Told) =>
        void (await way.server.sql(`UPDATE lease SET expires_at = clock_timestamp() WHERE id = $1`, [lease.id])),
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
    const [row] = await way.server.sql<{ expires_at: Date }>('SELECT expires_at FROM lease WHERE id = $1', [lease.id]);
    expect(answer.body.lease.expiresAt).toBe(row!.expires_at.toISOString());
  });

  it('a lease that somebody waits for is given back the general way, and is theirs', async () => {
    const { org, ann } = await known();
    const ben = await newRunner(org);
    const { lease } = (await ann.acquire({ paths: ['a'] })).body;
    // Through the other server: this one does not know of anybody who waits.
    const waiting = through(way.other, ben).acquire({ paths: ['a'], waitSeconds: 20 });
    while ((await org.admin.get('/lease-tickets')).body.items.length === 0) await new Promise(setImmediate);
    await calls();
    expect((await give(ann, lease)).status).toBe(200);
    expect(await calls()).toEqual([null]);
    expect((await waiting).status).toBe(201);
  });

  it('writes the beat of a run that has been silent for long', async () => {
    const { org, ann } = await known();
    await way.server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 minute' WHERE org_id = $1`, [
      org.id,
    ]);
    await ann.acquire({ paths: ['not/known/to/be/silent'], patterns: ['x/*'] });
    await way.server.sql(`UPDATE run SET last_beat_at = last_beat_at - interval '1 minute' WHERE org_id = $1`, [
      org.id,
    ]);
    await ann.acquire({ paths: ['a'] });
    expect(await calls()).toEqual([1]);
    const [run] = await way.server.sql(
      `SELECT last_beat_at > clock_timestamp() - interval '20 seconds' AS beaten FROM run WHERE org_id = $1 AND id = $2`,
      [org.id, ann.runId],
    );
    expect(run).toEqual({ beaten: true });
  });
});

describe('a connection that breaks around the call', () => {
  it.each<Fate>(['lose-request', 'lose-answer'])(
    '%s: all are answered as it came out, and take effect once',
    async (fate) => {
      const { org, ann } = await known();
      const before = way.proxy.broken();
      way.proxy.fate = fate;
      const replies = await Promise.all(
        Array.from({ length: 5 }, (_, n) =>
          n % 2 === 0 ? ann.admit({ paths: [`f${n}`] }) : ann.acquire({ paths: [`f${n}`] }),
        ),
      );
      expect(way.proxy.broken()).toBe(before + 1);
      for (const { status } of replies) expect([200, 201]).toContain(status);
      const rows = await way.server.sql(
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
      expect(await way.server.sql('SELECT FROM decision WHERE org_id = $1', [org.id])).toHaveLength(4);
      expect(firstBroken((await org.admin.get('/events?limit=500')).body.items)).toBeNull();
    },
  );

  it.each<Fate>(['lose-request', 'lose-answer'])('%s: what is given back is given back, and said so', async (fate) => {
    const { org, ann } = await known();
    const leases: Told[] = [];
    for (const path of ['a', 'b', 'c']) leases.push((await ann.acquire({ paths: [path] })).body.lease);
    const before = way.proxy.broken();
    way.proxy.fate = fate;
    const replies = await Promise.all(leases.map((lease) => give(ann, lease)));
    expect(way.proxy.broken()).toBe(before + 1);
    expect(replies).toMatchObject([{ status: 200 }, { status: 200 }, { status: 200 }]);
    const events = await org.events();
    expect(events.filter(({ kind }) => kind === 'lease.released')).toHaveLength(3);
    expect((await org.admin.get('/leases')).body.items.map(({ paths }: { paths: string[] }) => paths)).toEqual([
      ['first'],
    ]);
  });

  it('is looked for beside events that tell of any other time', async () => {
    const { org, ann } = await known();
    const key = { name: 'for long', role: 'viewer', expiresAt: '2199-12-31T00:00:00Z' };
    expect((await org.admin.post('/api-keys', key)).status).toBe(201);
    expect((await ann.acquire({ paths: ['by what is known now'] }, {})).status).toBe(201);
    way.proxy.fate = 'lose-answer';
    expect((await ann.acquire({ paths: ['a'] })).status).toBe(201);
  });

  it('holds up nobody but those who want the same', async () => {
    const { org, ann } = await known();
    const ben = await newRunner(org);
    expect((await ben.admit({ paths: ['of ben'] })).status).toBe(200);
    await calls();
    const attempt = vi.mocked(OneCall.prototype.attempt);
    const before = way.proxy.broken();
    way.proxy.fate = 'lose-request';
    const lost = ann.acquire({ paths: ['a'] });
    while (way.proxy.broken() === before) await new Promise(setImmediate);
    let isKnown = false;
    const outcome = (attempt.mock.results[0]!.value as Promise<unknown>).then(() => (isKnown = true));
    const same = ben.acquire({ paths: ['a'] });
    expect((await ben.acquire({ paths: ['b'] })).status).toBe(201);
    expect(isKnown).toBe(false);
    await outcome;
    // Nothing had arrived: both are decided now, in any order.
    const replies = await Promise.all([lost, same]);
    expect(replies.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([201, 409]);
  });

  it('the call takes no effect when it comes too late to be waited for', async () => {
    const { org, ann } = await known();
    const [repo] = await way.server.sql<{ id: string }>('SELECT id FROM repo WHERE org_id = $1', [org.id]);
    await ann.acquire({ paths: ['a'] });
    const [head] = await way.server.sql<{ policy: number; halt: number; facts: number }>(
      'SELECT policy_version::int AS policy, halt_epoch::int AS halt, facts_version::int AS facts FROM org_head WHERE org_id = $1',
      [org.id],
    );
    const call = async (decidedAt: Date) => {
      const versions = [head!.policy, head!.halt, head!.facts];
      const event = JSON.stringify({ actor: {}, at: '~0~', data: {}, kind: 'x.y', subject: {} });
      const { rows } = await way.server.pools.hot.query<{ answer: string }>(
        `SELECT hot_once($1, $2, $3, $4, '{}', '{}', NULL, '~', '{0}', $5, '{0}', '{0}', '{}', '{}', '{}', '', '', NULL) AS answer`,
        [versions, decidedAt, org.id, [repo!.id], event],
      );
      return rows[0]!.answer;
    };
    const seq = async () =>
      (await way.server.sql<{ seq: number }>('SELECT seq::int FROM org_head WHERE org_id = $1', [org.id]))[0]!.seq;
    const before = await seq();
    expect(await call(new Date(Date.now() - 1500))).toBe('no: late');
    expect(await seq()).toBe(before);
    expect(await call(new Date())).toMatch(/^\d+ \d+$/);
    expect(await seq()).toBe(before + 1);
  });
});
