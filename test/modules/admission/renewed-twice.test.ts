import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { inOneWrite } from '../../support/in-one-write.ts';
import { shortWay } from './short-way.ts';

const { way, calls, known } = shortWay();

it('of two renewals in one call each is answered as it is kept, and as the log has it', async () => {
  const { org, ann } = await known();
  const { lease } = (await ann.acquire({ paths: ['a'], ttlSeconds: 60 })).body;
  await calls();
  await sleep(100);
  const renewal = (key: string, ttlSeconds: number) => ({
    secret: ann.caller.secret,
    path: `/leases/${lease.id}/renew`,
    body: { fence: lease.fence, ttlSeconds },
    headers: { 'idempotency-key': key },
  });
  const renewTwice = async (attempt: number) => {
    const both = [renewal(`first-${attempt}`, 60), renewal(`second-${attempt}`, 120)];
    const answer = async () => (await inOneWrite(way.server.url, both)).map(({ body }) => body);
    return { answers: await answer(), made: await calls(), again: await answer() };
  };
  let renewed = await renewTwice(1);
  // Unless the machine was so busy that they were read in two turns.
  for (let attempt = 2; attempt <= 5 && renewed.made.length > 1; attempt += 1) renewed = await renewTwice(attempt);
  const { answers, made, again } = renewed;
  expect(made).toEqual([1]);
  const told = (await org.events()).filter(({ kind }) => kind === 'lease.renewed').map(({ data }) => data['expiresAt']);
  expect(told.slice(-2)).toEqual(answers.map((body) => body.lease.expiresAt));
  expect(again).toEqual(answers);
});
