import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { Refusals } from '../../../src/modules/admission/hot/refusals.ts';
import { withClient } from '../../support/database.ts';
import { give, newRunner, through } from '../leases/support.ts';
import { shortWay } from './short-way.ts';

const { way, known } = shortWay();

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
    const refused = await withClient(way.database.url, async (client) => {
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
    expect((await give(through(way.other, ann), lease)).status).toBe(200);
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
    const stranger = through(way.server, { ...ben, caller: ann.caller });
    expect(await stranger.acquire({ paths: ['a'] })).toMatchObject({ status: 403, body: { code: 'not_your_run' } });
    expect(await looked()).toEqual([null]);
  });
});
