/** Hundreds who want the same file: what one of them costs must not grow with the square of the line. */
import { expect, it } from 'vitest';
import { held, queue, ticketOf, until, waitingLine } from './line.ts';
import { give, moreRuns, type Runner } from './support.ts';

interface Step {
  readonly runId: string;
  readonly witness: string;
  readonly waitsFor: { readonly runId: string };
}

const { pair, crew } = waitingLine();

it('everybody gets in line behind hundreds; who would wait for one of them is refused, with the shortest cycle', async () => {
  const [, ann, ben, cid, dan] = await crew(4);
  const lease = await held(ann!, { paths: ['x'] });
  const others = await moreRuns(pair.server, cid!, 250);
  await Promise.all(others.map((other) => queue(other, { paths: ['x'] })));

  // Who holds something gets in line as well, as long as nobody waits for that.
  await held(ben!, { paths: ['y'] });
  const ticket = await queue(ben!, { paths: ['x'] });
  expect((await ticketOf(ben!, ticket)).position).toBe(251);
  await held(dan!, { paths: ['z'] });
  await queue(dan!, { paths: ['y'] });
  const closing = async (runner: Runner) => {
    const { body } = await runner.acquire({ paths: ['z'], waitSeconds: 5 });
    return [body.code, ...body.cycle.map((step: Step) => [step.runId, step.witness, step.waitsFor.runId])];
  };
  expect(await closing(ben!)).toEqual(['lease_deadlock', [ben!.runId, 'z', dan!.runId], [dan!.runId, 'y', ben!.runId]]);
  expect(await closing(ann!)).toEqual([
    'lease_deadlock',
    [ann!.runId, 'z', dan!.runId],
    [dan!.runId, 'y', ben!.runId],
    [ben!.runId, 'x', ann!.runId],
  ]);

  await give(ann!, lease);
  const granted = () =>
    pair.server.sql(`SELECT FROM lease_waiter WHERE loop_id = $1 AND status = 'granted'`, [cid!.loopId]);
  await until(async () => (await granted()).length === 1);
  expect((await ticketOf(ben!, ticket)).position).toBe(250);
});
