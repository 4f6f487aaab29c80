import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTelemetry } from '../../../src/platform/telemetry/index.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { finish, give, newRunner } from './support.ts';

const telemetry = startTelemetry({ serviceName: 'signalbox', serviceVersion: 'test', instanceId: 'one', env: {} });
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ telemetry });
});
afterAll(async () => {
  await server?.close();
  await telemetry.shutdown();
});

it('the metrics tell how many got in line, and how long each was there, by how it ended', async () => {
  const org = await server.newOrg();
  const [ann, ben, cid, dan] = await Promise.all([newRunner(org), newRunner(org), newRunner(org), newRunner(org)]);
  const { lease } = (await ann.acquire({ paths: ['a'] })).body;
  const wait = async ({ acquire }: typeof ann) =>
    (await acquire({ paths: ['a'], waitSeconds: 0.001 })).body.ticket.id as string;
  const [first, second] = [await wait(ben), await wait(cid)];
  await wait(dan);
  const cancelled = await cid.caller.delete(`/lease-tickets/${second}`);
  expect([cancelled.status, cancelled.body?.code]).toEqual([200, undefined]);
  await finish(dan);
  await give(ann, lease);
  expect((await ben.caller.get(`/lease-tickets/${first}?waitSeconds=10`)).body.status).toBe('granted');
  const metrics = async () => (await fetch(`${server.url}/metrics`)).text();
  await expect
    .poll(metrics)
    .toContain('signalbox_lease_wait_duration_seconds_count{signalbox_lease_wait_outcome="ended"} 1');
  const text = await metrics();
  expect(text).toContain('signalbox_lease_waits_total 3\n');
  for (const outcome of ['granted', 'cancelled'])
    expect(text).toContain(
      `signalbox_lease_wait_duration_seconds_count{signalbox_lease_wait_outcome="${outcome}"} 1\n`,
    );
});
