import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newRunner } from '../leases/support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

it('what takes too long to be written together is written one by one', { timeout: 60_000 }, async () => {
  const org = await server.newOrg();
  const runners = [await newRunner(org), await newRunner(org)];
  // Each for itself has time enough, both together have not.
  await server.sql(
    `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.8); RETURN NEW; END $$`,
  );
  await server.sql('CREATE TRIGGER slow BEFORE INSERT ON lease FOR EACH ROW EXECUTE FUNCTION slow()');
  const { hot } = server.signalbox.services;
  const submit = hot.submit.bind(hot);
  const gathered: (() => void)[] = [];
  const spied = vi.spyOn(hot, 'submit').mockImplementation(async (op) => {
    await new Promise<void>((resolve) => gathered.push(resolve));
    return submit(op);
  });
  const asked = runners.map((runner, n) => runner.acquire({ patterns: [`p${n}/*`] }));
  await vi.waitUntil(() => gathered.length === 2);
  spied.mockRestore();
  for (const go of gathered) go();
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([201, 201]);
});
