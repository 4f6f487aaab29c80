import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTelemetry } from '../../../src/platform/telemetry/index.ts';
import { inOneWrite } from '../../support/in-one-write.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { moreRuns, newRunner, REPO } from '../leases/support.ts';

const telemetry = startTelemetry({ serviceName: 'signalbox', serviceVersion: 'test', instanceId: 'one', env: {} });
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false, telemetry });
});
afterAll(async () => {
  await server?.close();
  await telemetry.shutdown();
});

it('what takes too long to be written together is written one by one', { timeout: 60_000 }, async () => {
  const org = await server.newOrg();
  const ann = await newRunner(org);
  const runs = [ann, ...(await moreRuns(server, ann, 1))];
  const ask = async (below: string) => {
    const asked = runs.map(({ runId }, n) => ({
      secret: ann.caller.secret,
      path: '/leases',
      body: { repo: REPO, runId, patterns: [`${below}/${n}/*`] },
    }));
    return (await inOneWrite(server.url, asked)).map(({ status }) => status);
  };
  // Once warm, what is read in one turn is decided in one batch.
  for (let warm = 0; warm < 5; warm += 1) expect(await ask(`warm${warm}`)).toEqual([201, 201]);
  // Each for itself has time enough, both together have not.
  await server.sql(
    `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.8); RETURN NEW; END $$`,
  );
  await server.sql('CREATE TRIGGER slow BEFORE INSERT ON lease FOR EACH ROW EXECUTE FUNCTION slow()');
  const isSplit = async () =>
    /^signalbox_transaction_retries_total\{[^}]*"split_batch"\} [1-9]/m.test(
      await (await fetch(`${server.url}/metrics`)).text(),
    );
  // Unless the machine was so busy that they were read in two turns.
  for (let attempt = 0; attempt < 5 && !(await isSplit()); attempt += 1)
    expect(await ask(`slow${attempt}`)).toEqual([201, 201]);
  expect(await isSplit()).toBe(true);
});
