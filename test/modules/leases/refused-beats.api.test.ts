import { expect, it } from 'vitest';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { give, through } from './support.ts';

const { pair, crew } = waitingLine();

const silentFor = (runId: string, seconds: number) =>
  pair.server.sql('UPDATE run SET last_beat_at = clock_timestamp() - make_interval(secs => $2) WHERE id = $1', [
    runId,
    seconds,
  ]);

const silentSeconds = async (runId: string) => {
  const [row] = await pair.server.sql<{ silent: number }>(
    'SELECT extract(epoch FROM clock_timestamp() - last_beat_at)::float8 AS silent FROM run WHERE id = $1',
    [runId],
  );
  return row!.silent;
};

it.each([
  ['an acquire', { paths: ['held/a'] }, 'acquire'],
  ['an acquire of a pattern', { patterns: ['held/*'] }, 'acquire'],
  ['an admission', { paths: ['held/a'] }, 'admit'],
] as const)('%s that is refused is a beat all the same', async (_name, wish, call) => {
  const [, ann, ben] = await crew(2);
  await held(ann!, { paths: ['held/a'] });
  await silentFor(ben!.runId, 60);
  // Of a server that has not heard of the run: what one remembers of its last beat is not what was written behind its back.
  await through(pair.other, ben!)[call](wish);
  await until(async () => (await silentSeconds(ben!.runId)) < 10);
});

it('a renewal that is refused is a beat all the same', async () => {
  const [, ann] = await crew(1);
  const lease = await held(ann!, { paths: ['a'] });
  expect((await give(ann!, lease)).status).toBe(200);
  await silentFor(ann!.runId, 60);
  expect((await ann!.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence })).status).toBe(409);
  expect(await silentSeconds(ann!.runId)).toBeLessThan(10);
});

it('a stalled run that is refused something is heard of again, and has its turn elsewhere', async () => {
  const [org, ann, ben] = await crew(2);
  const [first, other] = [await held(ann!, { paths: ['a'] }), await held(ann!, { paths: ['b'] })];
  const ticket = await queue(ben!, { paths: ['a'] });
  await silentFor(ben!.runId, 3600);
  await pair.server.sql(`UPDATE run SET status = 'stalled' WHERE id = $1`, [ben!.runId]);
  expect((await through(pair.other, ben!).acquire({ paths: ['b'] })).status).toBe(409);
  await until(async () => (await silentSeconds(ben!.runId)) < 10);
  expect((await give(ann!, first)).status).toBe(200);
  expect(await ticketOf(ben!, ticket, 5)).toMatchObject({ status: 'granted' });
  const { body } = await org.admin.get('/events?limit=500');
  expect(body.items.filter(({ kind }: { kind: string }) => kind === 'run.revived')).toHaveLength(1);
  expect((await give(ann!, other)).status).toBe(200);
});
