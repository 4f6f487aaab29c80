import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NearbyLeases, type NearbyOptions } from '../../../src/modules/admission/nearby.ts';
import type { Principal } from '../../../src/platform/principal.ts';
import { ManualClock } from '../../support/clock.ts';
import { withClient } from '../../support/database.ts';
import { holding } from '../../support/locks.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { unreadable } from '../../support/unreadable.ts';
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
  const near = async () =>
    (await nearby.near(adminOf(org), { id, name: REPO }, null, ['z/2'])).map(({ leaseId }) => leaseId);
  expect(await near()).toEqual([lease.id]);
  await finish(ann);
  await clock.advance(6000);
  expect(await near()).toEqual([]);
});

it('an admission is answered though the advice beside it cannot be read', async () => {
  const org = await server.newOrg();
  const [ann, ben] = [await newRunner(org), await newRunner(org)];
  // A repo of which this server knows nothing near any path yet.
  const elsewhere = { repo: 'acme/other', paths: ['a'] };
  await ann.acquire({ ...elsewhere, paths: ['seen'] });
  const answer = await withClient(server.database.url, async (client) => {
    const changes = await holding(client, 'LOCK TABLE change IN ACCESS EXCLUSIVE MODE');
    const admitted = await Promise.race([
      ben.admit(elsewhere),
      // As long as one reading of it may wait for a lock.
      sleep(2900).then(() => null),
    ]);
    await changes.free();
    return admitted;
  });
  expect(answer).toMatchObject({ status: 200, body: { outcome: 'allow', context: { recent: [] } } });
});

it('what others hold nearby is left out where it cannot be read, not thrown', async () => {
  const org = await server.newOrg();
  await (await newRunner(org)).acquire({ paths: ['z/1'] });
  const [{ id }] = (await org.admin.get('/repos')).body.items;
  const nearby = new NearbyLeases(server.signalbox.services.leases, new ManualClock(new Date()));
  const near = (options?: NearbyOptions) => nearby.near(adminOf(org), { id, name: REPO }, null, ['z/2'], options);
  await unreadable(server, 'lease', async () => {
    expect(await near()).toEqual([]);
    await expect(near({ fresh: true })).rejects.toThrow('permission denied for table lease');
  });
  expect(await near({ fresh: true })).toHaveLength(1);
});

const adminOf = ({ id, admin }: TestOrg): Principal => ({
  orgId: id,
  keyId: admin.keyId,
  role: 'admin',
  memberId: null,
  loopId: null,
});
