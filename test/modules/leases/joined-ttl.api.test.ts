import { expect, it } from 'vitest';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { endedUnseen } from './support.ts';

const { pair, crew } = waitingLine();

it('a ticket that an admission has joined is granted for the longest time that was asked for', async () => {
  const [, ann, ben] = await crew(2);
  const lease = await held(ann!, { paths: ['a'] });
  const ticket = await queue(ben!, { paths: ['a'], ttlSeconds: 3600 });
  const admission = ben!.admit({ paths: ['a'], waitSeconds: 1, lease: { ttlSeconds: 60 } });
  const joined = () => pair.server.sql('SELECT FROM lease_waiter WHERE id = $1 AND joined', [ticket]);
  await until(async () => (await joined()).length === 1);
  await endedUnseen(pair.server, lease);
  const answer = (await admission).body;
  expect(answer.outcome).toBe('allow');
  expect(await ticketOf(ben!, ticket)).toMatchObject({ status: 'granted', lease: { ttlSeconds: 3600 } });
});
