import { afterAll, beforeAll, expect, it } from 'vitest';
import { workDone } from '../../../src/patterns/index.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newRunner } from '../leases/support.ts';
import { deploy, hoursAgo, land, open } from './support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

it('to tell which leases lay over a change does not keep everybody else waiting, however intricate they are', async () => {
  const org = await server.newOrg();
  const ann = await newRunner(org);
  // Wherever there is an `x`, all that follows may have begun: some thirty thousand steps for a path of 4 KB.
  const patterns = Array.from({ length: 60 }, (_, at) => `**/*x${'?'.repeat(185 - at)}[yw]`);
  expect((await ann.acquire({ patterns })).status).toBe(201);
  const held = (await ann.acquire({ paths: ['src/pay.ts'] })).body.lease;
  const costly = await land(
    ann,
    Array.from({ length: 15 }, (_, at) => `a/${'x'.repeat(4000)}z${at}`),
  );
  const plain = await land(ann, ['src/pay.ts']);
  await deploy(org.admin, { commit: plain.commit, commits: [costly.commit, plain.commit], at: hoursAgo(0.01) });
  const incident = await open(org.admin, {});
  const before = workDone();
  const { status, body } = await org.admin.get(`/incidents/${incident.body.id}/suspects`);
  expect([status, body.code]).toEqual([200, undefined]);
  expect(workDone() - before).toBeLessThan(25_000_000);
  expect(body.items.map(({ change }: { change: { id: string } }) => change.id).toSorted()).toEqual(
    [costly.id, plain.id].toSorted(),
  );
  // What is asked about first is told.
  expect(body.items[0].change.id).toBe(plain.id);
  expect(JSON.stringify(body.items[0].chain)).toContain(held.id);
});
