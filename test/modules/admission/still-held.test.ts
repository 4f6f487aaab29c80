import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import type { Reply } from '../../support/server.ts';
import { finish, newRunner, type Runner, type Told, through } from '../leases/support.ts';
import { expireKey, type Known, shortWay } from './short-way.ts';

const { way, known } = shortWay();

/** Ben is refused what Ann holds; what is asked of the database for it is counted. */
describe('a refusal by what the server remembers', () => {
  let queries: MockInstance;
  beforeEach(() => {
    queries = vi.spyOn(pg.Client.prototype, 'query');
  });
  afterEach(() => queries.mockRestore());
  /** Which looks there were since: at times and versions alone, or at everything. */
  const looks = (): string[] => {
    const names = queries.mock.calls.map(([query]) => (query as { name?: string } | undefined)?.name);
    queries.mockClear();
    return names.filter((name) => name === 'still_held' || name === 'lease_candidates') as string[];
  };

  let org: Known['org'];
  let ann: Runner;
  let ben: Runner;
  let lease: Told & { expiresAt: string };
  beforeEach(async () => {
    ({ org, ann } = await known());
    ben = await newRunner(org);
    expect((await ben.acquire({ paths: ['of ben'] })).status).toBe(201);
    ({ lease } = (await ann.acquire({ paths: ['a'], purpose: 'why', ttlSeconds: 60 })).body);
    queries.mockClear();
  });
  const asked = () => ben.acquire({ paths: ['a'] });
  const elsewhere = (runner: Runner) => through(way.other, runner);
  /** As told, but for what depends on the moment. */
  const told = ({ status, body: { at: _at, detail: _told, requestId: _id, conflicts, ...rest } }: Reply) => {
    const lasting = conflicts.map((conflict: object) => ({ ...conflict, expectedWaitSeconds: 0 }));
    return { status, conflicts: lasting, ...rest };
  };

  it('says what a look at everything says', async () => {
    const quick = await asked();
    expect(looks()).toEqual(['still_held']);
    expect(quick).toMatchObject({ status: 409, body: { code: 'lease_conflict', free: [] } });
    const whole = await elsewhere(ben).acquire({ paths: ['a'] });
    expect(looks()).toContain('lease_candidates');
    expect(told(quick)).toEqual(told(whole));
    expect(quick.body.conflicts).toMatchObject([{ leaseId: lease.id, purpose: 'why', expiresAt: lease.expiresAt }]);
  });

  it.each([
    ['the same path', { paths: ['a', 'b'], ttlSeconds: 5 }],
    ['a pattern', { patterns: ['?'], ttlSeconds: 3600 }],
  ])('tells of another lease of the same run on %s', async (_what, more) => {
    for (const runner of [ann, elsewhere(ann)]) expect((await runner.acquire(more)).status).toBe(201);
    queries.mockClear();
    const quick = await asked();
    expect(looks()).toEqual(['still_held', 'lease_candidates']);
    expect(quick.body.conflicts.length).toBeGreaterThan(1);
    expect(told(quick)).toEqual(told(await elsewhere(ben).acquire({ paths: ['a'] })));
  });

  it('tells of a renewal by another server', async () => {
    const { caller } = elsewhere(ann);
    const renewed = await caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence, ttlSeconds: 900 });
    queries.mockClear();
    expect((await asked()).body.conflicts).toMatchObject([{ expiresAt: renewed.body.lease.expiresAt }]);
    expect(looks()).toEqual(['still_held']);
  });

  it.each([
    ['was released', () => elsewhere(ann).caller.post(`/leases/${lease.id}/release`, { fence: lease.fence })],
    ['ended with its run', () => finish(elsewhere(ann))],
    [
      'expired, with its lock delay',
      async () => {
        await way.server.sql(`UPDATE lease SET expires_at = clock_timestamp() - interval '1 hour' WHERE id = $1`, [
          lease.id,
        ]);
        return { status: 200 };
      },
    ],
    [
      'is of a run that has finished in this moment',
      async () => {
        await way.server.sql(`UPDATE run SET status = 'finished' WHERE id = $1`, [ann.runId]);
        return { status: 200 };
      },
    ],
  ])('gives way to a grant where the lease %s', async (_what, end) => {
    expect((await end()).status).toBe(200);
    queries.mockClear();
    expect((await asked()).status).toBe(201);
  });

  it('names what another server granted besides', async () => {
    const { lease: other } = (await elsewhere(ann).acquire({ paths: ['b'] })).body;
    const { conflicts, free } = (await ben.acquire({ paths: ['a', 'b', 'c'] })).body;
    expect(conflicts.map((conflict: { leaseId: string }) => conflict.leaseId)).toEqual([lease.id, other.id]);
    expect(free).toEqual(['c']);
  });

  it('does not take a path for another that is spelled alike', async () => {
    const cid = await newRunner(org);
    const { lease: other } = (await elsewhere(cid).acquire({ paths: ['A'] })).body;
    const { conflicts } = (await ben.acquire({ paths: ['a', 'A'] })).body;
    expect(conflicts.map((conflict: { leaseId: string }) => conflict.leaseId)).toEqual([lease.id, other.id]);
  });

  it('counts who waits', async () => {
    const cid = await newRunner(org);
    expect((await elsewhere(cid).acquire({ paths: ['a'], waitSeconds: 0.001 })).status).toBe(202);
    queries.mockClear();
    expect((await asked()).body.conflicts).toMatchObject([
      { leaseId: lease.id, queueLength: 1 },
      { holder: { run: { id: cid.runId } } },
    ]);
    expect(looks()).toEqual(['still_held', 'lease_candidates']);
  });

  it('names people as they are called now', async () => {
    await way.server.sql(`UPDATE member SET name = 'Anne now' WHERE id = $1`, [ann.caller.memberId]);
    expect((await asked()).body.conflicts).toMatchObject([{ holder: { owner: { name: 'Anne now' } } }]);
  });

  it('tells the run first that its own lease on that was revoked', async () => {
    const { lease: gone } = (await ben.acquire({ paths: ['x'] })).body;
    const admin = way.other.caller(org.admin.secret);
    expect((await admin.post(`/leases/${gone.id}/revoke`, { reason: 'not yours' })).status).toBe(200);
    expect((await ann.acquire({ paths: ['x'] })).status).toBe(201);
    expect(await ben.acquire({ paths: ['x'] })).toMatchObject({ status: 409, body: { code: 'lease_revoked' } });
  });

  it.each([
    [401, 'unauthenticated', () => way.other.caller(org.admin.secret).delete(`/api-keys/${ben.caller.keyId}`)],
    [409, 'run_finished', () => finish(elsewhere(ben))],
    [
      409,
      'halted',
      () => way.other.caller(org.admin.secret).post('/halts', { scope: { kind: 'org' }, reason: 'stop' }),
    ],
  ])('is not given to whoever may not ask any more: %i %s', async (status, code, change) => {
    expect((await change()).status).toBeLessThan(300);
    expect(await asked()).toMatchObject({ status, body: { code } });
  });

  it('is not given by a key that has expired by the database’s clock', async () => {
    await expireKey(way.server, ben.caller.keyId);
    queries.mockClear();
    expect(await asked()).toMatchObject({ status: 401 });
    expect(looks()).toContain('still_held');
  });

  it('is of the org alone: another one gets the same path', async () => {
    const other = await newRunner(await way.server.newOrg());
    expect((await other.acquire({ paths: ['a'] })).status).toBe(201);
    expect((await asked()).status).toBe(409);
  });
});
