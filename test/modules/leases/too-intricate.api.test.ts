import { afterAll, beforeAll, expect, it } from 'vitest';
import { workDone } from '../../../src/patterns/index.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { intricate } from './intricate.ts';
import { held, queue, ticketOf } from './line.ts';
import { give, newRunner } from './support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: 'signals', searchStepsMax: 1_000_000 });
});
afterAll(() => server?.close());

it('whose turn would take too long to be seen is not kept in line, in the way of others, nor let into it', async () => {
  const org = await server.newOrg();
  const [ann, ben, cy, dan] = await Promise.all(Array.from({ length: 4 }, () => newRunner(org)));
  const lease = await held(ann!, { paths: ['x'] });
  await held(dan!, { paths: ['y'] });
  const wanted = { paths: ['x'], patterns: intricate('b', 80) };
  const ticket = await queue(ben!, wanted);
  // As if they had been granted one by one.
  const far = (await cy!.acquire({ repo: 'acme/far', patterns: intricate('c', 80) })).body.lease;
  for (const table of ['lease_key', 'lease'])
    await server.sql(
      `UPDATE ${table} SET repo_id = (SELECT id FROM repo WHERE org_id = $1 AND name = 'acme/shop')
       WHERE org_id = $1 AND ${table === 'lease' ? 'id' : 'lease_id'} = $2`,
      [org.id, far.id],
    );
  expect((await give(ann!, lease)).status).toBe(200);
  expect(await ticketOf(ben!, ticket, 20)).toMatchObject({ status: 'ended', reason: 'too_intricate' });
  await held(dan!, { paths: ['x'] });
  // Behind what it is known to wait for there is more, or there is nothing that it is known to wait for.
  for (const asked of [{ ...wanted, paths: ['y'], waitSeconds: 1 }, { patterns: wanted.patterns }])
    expect(await ben!.acquire(asked)).toMatchObject({ status: 422, body: { code: 'leases_too_intricate' } });
  expect(await ben!.acquire(wanted)).toMatchObject({ status: 409, body: { moreConflicts: true } });
  const waits = (await org.events()).filter(({ kind }) => kind === 'lease.queued' || kind === 'lease.wait_ended');
  expect(waits.map(({ kind, data }) => [kind, data['reason']])).toEqual([
    ['lease.queued', undefined],
    ['lease.wait_ended', 'too_intricate'],
  ]);
});

it('a run is given again what it holds, longer and for itself alone, however intricate that is', async () => {
  const org = await server.newOrg();
  const ann = await newRunner(org);
  const wanted = { patterns: intricate('a', 120) };
  const first = await ann.acquire({ ...wanted, mode: 'shared' });
  const before = workDone();
  const longer = await ann.acquire({ ...wanted, mode: 'shared', ttlSeconds: 7200 });
  expect(longer).toMatchObject({ status: 201, body: { lease: { id: first.body.lease.id, ttlSeconds: 7200 } } });
  const alone = await ann.acquire(wanted);
  expect(alone).toMatchObject({ status: 201, body: { lease: { mode: 'exclusive', ttlSeconds: 7200 } } });
  expect((await ann.acquire(wanted)).body.lease.id).toBe(alone.body.lease.id);
  // Once with itself each, and not with all the others: that would be some thirty million.
  expect(workDone() - before).toBeLessThan(3_000_000);
});
