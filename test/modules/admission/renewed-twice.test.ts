import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { shortWay } from './short-way.ts';

const { way, calls, known } = shortWay();

it('of two renewals in one call each is answered as it is kept, and as the log has it', async () => {
  const { org, ann } = await known();
  const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
  await calls();
  await sleep(100);
  const { hot } = way.server.signalbox.services;
  const submit = hot.submit.bind(hot);
  // What two clients send at once comes in one turn of the event loop.
  const gathered: (() => void)[] = [];
  const spied = vi.spyOn(hot, 'submit').mockImplementation(async (op) => {
    await new Promise<void>((resolve) => gathered.push(resolve));
    return submit(op);
  });
  const renew = (key: string, ttlSeconds: number) =>
    ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence, ttlSeconds }, { 'idempotency-key': key });
  const first = renew('first', 60);
  await vi.waitUntil(() => gathered.length === 1);
  const second = renew('second', 120);
  await vi.waitUntil(() => gathered.length === 2);
  spied.mockRestore();
  for (const go of gathered) go();
  const answers = [(await first).body, (await second).body];
  expect(await calls()).toEqual([1]);
  const told = (await org.events()).filter(({ kind }) => kind === 'lease.renewed').map(({ data }) => data['expiresAt']);
  expect({ told: answers.map((body) => body.lease.expiresAt) }).toEqual({ told });
  const again = [(await renew('first', 60)).body, (await renew('second', 120)).body];
  expect(again).toEqual(answers);
});
