import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { held, queue, ticketOf } from './line.ts';
import { give, newRunner, type Runner } from './support.ts';

/** Of six such there are too many to be looked at under the lock, and of one more than a search counts. */
const MANY = Array.from({ length: 350 }, (_, n) => `src/d${n}/*`);
const CROWD = 6;

let server: TestServer;
let org: TestOrg;
let crowd: Runner[];
beforeAll(async () => {
  server = await startTestServer({ start: 'signals' });
});
afterAll(() => server?.close());
beforeEach(async () => {
  org = await server.newOrg();
  crowd = await Promise.all(Array.from({ length: CROWD }, () => newRunner(org)));
});

it('whoever is first in a line has its turn, however much is wanted behind it, and then the next', async () => {
  const ann = await newRunner(org);
  const lease = await held(ann, { patterns: ['src/**'] });
  const tickets: string[] = [];
  for (const runner of crowd) tickets.push(await queue(runner, { patterns: MANY }));
  expect((await give(ann, lease)).status).toBe(200);
  const first = await ticketOf(crowd[0]!, tickets[0]!, 10);
  expect(first).toMatchObject({ status: 'granted' });
  for (const behind of [1, 2])
    expect(await ticketOf(crowd[behind]!, tickets[behind]!)).toMatchObject({ status: 'waiting' });
  expect((await give(crowd[0]!, first.lease)).status).toBe(200);
  expect(await ticketOf(crowd[1]!, tickets[1]!, 10)).toMatchObject({ status: 'granted' });
  expect(await ticketOf(crowd[2]!, tickets[2]!)).toMatchObject({ status: 'waiting' });
});

it('whoever is passed over does not keep those behind them from being let in', async () => {
  const ann = await newRunner(org);
  const lease = await held(ann, { patterns: ['src/**'] });
  for (const runner of crowd) await queue(runner, { patterns: MANY });
  const ben = await newRunner(org);
  const ticket = await queue(ben, { patterns: MANY });
  await server.sql(`UPDATE run SET status = 'stalled' WHERE id = ANY ($1::uuid[])`, [crowd.map(({ runId }) => runId)]);
  expect((await give(ann, lease)).status).toBe(200);
  await server.signalbox.services.line.sweep(org.id);
  expect(await ticketOf(ben, ticket, 10)).toMatchObject({ status: 'granted' });
});

it('what is shared is had by any number, however much each of them shares', async () => {
  for (const runner of crowd) await held(runner, { patterns: MANY, mode: 'shared' });
  const ann = await newRunner(org);
  await held(ann, { patterns: MANY, mode: 'shared' });
  expect((await ann.acquire({ patterns: MANY })).body).toMatchObject({ code: 'lease_conflict', moreConflicts: true });
});
