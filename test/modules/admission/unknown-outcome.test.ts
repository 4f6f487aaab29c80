import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { AskOperation } from '../../../src/modules/admission/hot/operation.ts';
import { type Clock, systemClock } from '../../../src/platform/clock.ts';
import { type BreakingProxy, startBreakingProxy } from '../../support/breaking-proxy.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newRunner } from '../leases/support.ts';

/** Longer than the outcome of a commit is looked for. */
const AWAY_MS = 10_000;

/** Whoever waits for the database to come back waits no time at all. */
let waitedMs = 0;
const clock: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() + waitedMs,
  sleep: async () => {
    waitedMs += 250;
    proxy.isAway = waitedMs < AWAY_MS;
  },
};

let database: TestDatabase;
let proxy: BreakingProxy;
let server: TestServer;
beforeAll(async () => {
  database = await createTestDatabase();
  const url = new URL(database.url);
  proxy = await startBreakingProxy({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${proxy.port}`;
  server = await startTestServer({ database, hotUrl: url.href, start: false, clock });
});
afterAll(async () => {
  await server?.close();
  await proxy?.close();
  await database?.drop();
});
afterEach(() => vi.restoreAllMocks());

it('a batch of which nobody can say whether it was committed is not decided again', async () => {
  const org = await server.newOrg();
  const ann = await newRunner(org);
  const { hot } = server.signalbox.services;
  const submitted = vi.spyOn(hot, 'submit');
  await ann.admit({ paths: ['first'], lease: false });
  // With a place in the line, though one that is not there, it is not for one call.
  const ask = { ...(submitted.mock.lastCall![0] as AskOperation), ticketId: '01a20027-0000-7000-8000-000000000001' };
  const decisions = async () => (await org.events()).filter(({ kind }) => kind === 'decision.recorded').length;
  const before = await decisions();

  waitedMs = 0;
  proxy.isAway = true;
  proxy.fate = 'lose-answer';
  const answers = await Promise.allSettled([hot.submit(ask), hot.submit(ask)]);
  expect(proxy.broken()).toBe(1);
  expect(await decisions()).toBe(before + 2);
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
