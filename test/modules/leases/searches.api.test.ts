import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { workDone } from '../../../src/patterns/index.ts';
import { type Clock, systemClock } from '../../../src/platform/clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { intricate } from './intricate.ts';
import { held, queue, ticketOf } from './line.ts';
import { give, newRunner } from './support.ts';

/** Nobody waits long for a look that takes long. */
const clock: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms === 500 ? 1 : ms, signal) };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: 'signals', clock });
});
afterAll(() => server?.close());

/** An org in which somebody holds so many intricate patterns, and somebody else who asks for as many others. */
async function orgWith(count: number) {
  const org = await server.newOrg();
  const [ann, ben] = [await newRunner(org), await newRunner(org)];
  expect((await ann.acquire({ patterns: intricate('a', count) })).status).toBe(201);
  return () => ben.acquire({ patterns: intricate('b', count) });
}

async function untilSteps(steps: number): Promise<void> {
  const until = workDone() + steps;
  while (workDone() < until) await nextTurn();
}

it('no org’s long searches keep another org’s shorter one waiting until they are done', async () => {
  const long = await Promise.all([orgWith(60), orgWith(60), orgWith(60)]);
  const short = await orgWith(24);
  let done = 0;
  const answers = long.map(async (ask) => {
    const { status } = await ask();
    done += 1;
    return status;
  });
  await untilSteps(500_000);
  expect((await short()).status).toBe(201);
  expect(done).toBe(0);
  expect(await Promise.all(answers)).toEqual([201, 201, 201]);
});

it('whose turn takes long to be seen keeps nobody else of the org from having theirs', async () => {
  const org = await server.newOrg();
  const [ann, ben, cid, dan] = await Promise.all(Array.from({ length: 4 }, () => newRunner(org)));
  await held(cid!, { patterns: intricate('c', 90) });
  const [x, y] = [await held(ann!, { paths: ['x'] }), await held(ann!, { paths: ['y'] })];
  const long = await queue(ben!, { paths: ['x'], patterns: intricate('b', 90) });
  const short = await queue(dan!, { paths: ['y'] });
  const before = workDone();
  await give(ann!, x);
  await untilSteps(500_000);
  await give(ann!, y);
  expect(await ticketOf(dan!, short, 20)).toMatchObject({ status: 'granted' });
  expect(await ticketOf(ben!, long)).toMatchObject({ status: 'waiting' });
  expect(await ticketOf(ben!, long, 20)).toMatchObject({ status: 'granted' });
  expect(workDone() - before).toBeGreaterThan(10_000_000);
});

it('who waits for much joins its own ticket when it asks again, however many others wait', async () => {
  const org = await server.newOrg();
  const [ann, ben, cid] = await Promise.all(Array.from({ length: 3 }, () => newRunner(org)));
  await held(ann!, { paths: ['x'] });
  const wanted = { paths: ['x'], patterns: intricate('b', 60) };
  const ticket = await queue(ben!, wanted);
  await queue(cid!, { paths: ['x'], patterns: intricate('c', 60) });
  expect(await queue(ben!, wanted)).toBe(ticket);
  expect(await ben!.acquire({ paths: ['x'], waitSeconds: 1 })).toMatchObject({
    status: 409,
    body: { code: 'lease_wait_on_self', ticketId: ticket },
  });
});
