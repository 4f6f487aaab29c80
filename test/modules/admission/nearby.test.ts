import { afterAll, beforeAll, expect, it } from 'vitest';
import { NearbyLeases } from '../../../src/modules/admission/nearby.ts';
import { ManualClock } from '../../support/clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { finish, newRunner, REPO } from '../leases/support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

it('what others hold nearby is not told long after they have given it back', async () => {
  const org = await server.newOrg();
  const ann = await newRunner(org);
  const { lease } = (await ann.acquire({ paths: ['z/1'] })).body;
  const [{ id }] = (await org.admin.get('/repos')).body.items;
  const clock = new ManualClock(new Date());
  const nearby = new NearbyLeases(server.signalbox.services.leases, clock);
  const principal = { orgId: org.id, keyId: org.admin.keyId, role: 'admin' as const, memberId: null, loopId: null };
  const near = async () =>
    (await nearby.near(principal, { id, name: REPO }, null, ['z/2'])).map(({ leaseId }) => leaseId);
  expect(await near()).toEqual([lease.id]);
  await finish(ann);
  await clock.advance(6000);
  expect(await near()).toEqual([]);
});
