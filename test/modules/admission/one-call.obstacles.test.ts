import { describe, expect, it } from 'vitest';
import type { TestOrg } from '../../support/server.ts';
import { finish, newRunner, REPO, type Runner, through } from '../leases/support.ts';
import { expireKey, type Known, publish, shortWay } from './short-way.ts';

const { way, calls, known } = shortWay();

describe('what a call finds in the way is decided by what is read', () => {
  it('a lease on the path, which another server gave', async () => {
    const { org, ann } = await known();
    const ben = through(way.other, await newRunner(org));
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
    await way.server.sql(`DELETE FROM lease_key WHERE org_id = $1`, [org.id]);
    await org.admin.patch(`/repos/${repos.items[0].id}`, { caseSensitive: false });
    await ann.acquire({ paths: ['facts/are/read/anew'] });
    await calls();
    const ben = through(way.other, await newRunner(org));
    expect(await ben.acquire({ patterns: [pattern] })).toMatchObject({ status: 201 });
    expect(await ann.acquire({ paths: ['src/x.ts'] })).toMatchObject({ status: 409 });
    expect(await calls()).toEqual([null]);
    expect(await ann.acquire({ paths: ['way.other.md'] })).toMatchObject({ status: 201 });
    expect(await calls()).toEqual([1]);
  });

  it('a lease on a pattern, whether or not the path has an extension', async () => {
    const { org, ann } = await known();
    const ben = through(way.other, await newRunner(org));
    expect(await ben.acquire({ patterns: ['tools/*/Makefile', 'docs/**/*.md'] })).toMatchObject({ status: 201 });
    for (const path of ['tools/a/Makefile', 'docs/a.md'])
      expect(await ann.acquire({ paths: [path] })).toMatchObject({ status: 409 });
    expect(await calls()).toEqual([null, null]);
    const { body } = await ann.acquire({ paths: ['other/Makefile'] });
    await ann.acquire({ paths: ['docs/a', 'docs/A.TS'] });
    expect(await calls()).toEqual([1, 1]);
    const keys = await way.server.sql(
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

  it('a lease on patterns, of which there are more than it looks at', async () => {
    const { org, ann } = await known();
    const patterns = Array.from({ length: 100 }, (_, n) => `p${n}/**`);
    expect((await through(way.other, await newRunner(org)).acquire({ patterns })).status).toBe(201);
    for (let n = 0; n < patterns.length; n += 1)
      expect(await ann.acquire({ paths: [`p${n}/x`] })).toMatchObject({
        status: 409,
        body: { code: 'lease_conflict' },
      });
    expect(await calls()).toContain(null);
  });

  it('somebody who waits for the path', async () => {
    const { org, ann } = await known();
    const [ben, cid] = await Promise.all([newRunner(org), newRunner(org)]);
    await through(way.other, ben).acquire({ paths: ['a'] });
    const waiting = await through(way.other, cid).acquire({ paths: ['a', 'b'], waitSeconds: 0.05 });
    expect(waiting.status).toBe(202);
    expect(await ann.acquire({ paths: ['b'] })).toMatchObject({ status: 409, body: { code: 'lease_conflict' } });
    expect(await calls()).toContain(null);
  });

  it.each([
    [
      'that was released',
      (org: TestOrg, ann: Runner, lease: { id: string; fence: number }) =>
        through(way.other, ann)
          .caller.post(`/leases/${lease.id}/release`, { fence: lease.fence })
          .then(() => org),
    ],
    [
      'that was revoked',
      (org: TestOrg, _ann: Runner, lease: { id: string }) =>
        way.other.caller(org.admin.secret).post(`/leases/${lease.id}/revoke`, { reason: 'mine' }),
    ],
    [
      'that has expired',
      (org: TestOrg, _ann: Runner, lease: { id: string }) =>
        way.server.sql(`UPDATE lease SET expires_at = clock_timestamp() WHERE org_id = $1 AND id = $2`, [
          org.id,
          lease.id,
        ]),
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

  it.each([
    ['just now', 2000],
    ['long ago', 20],
  ])('a lease that was renewed for another time: %s', async (_name, secondsLeft) => {
    const { org, ann } = await known();
    const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
    await through(way.other, ann).caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence, ttlSeconds: 2000 });
    await endsIn(org, lease.id, secondsLeft);
    await calls();
    const { body } = await ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence });
    expect(body.lease.ttlSeconds).toBe(2000);
    expect(await calls()).toEqual([null]);
  });

  it('a lease that lasts longer than this renewal would make it', async () => {
    const { org, ann } = await known();
    const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
    await endsIn(org, lease.id, 500);
    await calls();
    const { body } = await ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence, ttlSeconds: 90 });
    expect(await calls()).toEqual([null]);
    expect(Date.parse(body.lease.expiresAt) - Date.parse(lease.grantedAt)).toBeGreaterThan(400_000);
  });

  it('a run that has finished', async () => {
    const { ann } = await known();
    await finish(through(way.other, ann));
    expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 409, body: { code: 'run_finished' } });
    expect(await calls()).toEqual([null]);
  });

  it('a key that was revoked', async () => {
    const { org, ann } = await known();
    await way.other.caller(org.admin.secret).delete(`/api-keys/${ann.caller.keyId}`);
    expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 401 });
    expect(await calls()).toEqual([null]);
  });

  it('a key that has expired by the database’s clock', async () => {
    const { org, ann } = await known();
    await expireKey(way.server, ann.caller.keyId);
    expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 401 });
    expect(await calls()).toEqual([null]);
    expect(await way.server.sql(`SELECT FROM lease WHERE org_id = $1 AND paths = '{a}'`, [org.id])).toEqual([]);
  });

  it('a halt', async () => {
    const { org, ann } = await known();
    await way.other.caller(org.admin.secret).post('/halts', { scope: { kind: 'org' }, reason: 'stop' });
    expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 409, body: { code: 'halted' } });
    expect(await calls()).toEqual([null]);
  });

  it('a policy that was published', async () => {
    const { org, ann } = await known();
    await publish(way.other, org, {
      id: 'no',
      effect: 'deny',
      actions: ['path.edit'],
      where: { path: { $glob: 'a' } },
    });
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
        expect((await through(way.other, ann).caller.post('/loops', definition)).status).toBe(201);
      },
    ],
    [
      'what the run has spent',
      async ({ ann }: Known) => {
        const usage = { costUsd: 3 };
        await through(way.other, ann).caller.post(`/runs/${ann.runId}/heartbeat`, { epoch: 1, usage });
      },
    ],
  ])('%s', async (_name, change) => {
    const before = await known({ loop: { guardrails: { budgets: [{ per: 'run', usd: '2' }] } } });
    await change(before);
    expect(await before.ann.admit({ paths: ['a'] })).toMatchObject({ body: { outcome: 'deny' } });
    expect(await calls()).toEqual([null]);
  });

  it('how often the run has looped', async () => {
    const { ann } = await known({ loop: { guardrails: { maxIterations: 2 } } });
    await way.server.sql('UPDATE run SET iteration = 3 WHERE id = $1', [ann.runId]);
    expect(await ann.admit({ paths: ['a'] })).toMatchObject({ body: { outcome: 'deny' } });
    expect(await calls()).toEqual([null]);
  });

  it('settings, teams and members that have changed', async () => {
    const { org, ann } = await known();
    const elsewhere = way.other.caller(org.admin.secret);
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
  it('for rules that look at the time, and for a path that is known to be held', async () => {
    const { org, ann } = await known();
    await ann.acquire({ paths: ['a'] });
    await calls();
    expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 201 });
    const outside = { days: 'mon-fri', hours: '08:00-18:00', timeZone: 'Europe/Berlin' };
    await publish(way.other, org, {
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

/** As another server left it. */
async function endsIn(org: TestOrg, leaseId: string, seconds: number): Promise<void> {
  await way.server.sql(
    `UPDATE lease SET expires_at = clock_timestamp() + make_interval(secs => $3) WHERE org_id = $1 AND id = $2`,
    [org.id, leaseId, seconds],
  );
}

async function loopName({ caller, loopId }: Runner): Promise<string> {
  return (await caller.get(`/loops/${loopId}`)).body.name;
}
