import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ENOUGH, PacedWork } from '../../src/platform/paced-work.ts';

const PIECES_A_TURN = 10;

/** Work of so many turns, whose pieces note whose they are. */
function started(name: string, turns: number, log: string[]): Promise<void> {
  let cost = 0;
  const work = new PacedWork(() => cost, PIECES_A_TURN * 100);
  return work.each(Array.from({ length: turns * PIECES_A_TURN }), () => {
    cost += 90;
    log.push(name);
  });
}

/** What was done in each turn of the event loop until so many pieces were. */
async function turnsOf(pieces: number, log: string[]): Promise<string[][]> {
  const turns: string[][] = [];
  while (turns.flat().length < pieces) {
    await nextTurn();
    turns.push(log.splice(0));
  }
  return turns;
}

it('holds everybody else up for one turn’s work, however much is computed at once', async () => {
  const log: string[] = [];
  const names = ['a', 'b', 'c', 'd'];
  const all = Promise.all(names.map((name) => started(name, 8, log)));
  // What each begins with it does before it is in line.
  expect(log.splice(0)).toHaveLength(4 * PIECES_A_TURN);
  const turns = await turnsOf(4 * 7 * PIECES_A_TURN, log);
  expect(Math.max(...turns.map((pieces) => pieces.length))).toBe(PIECES_A_TURN);
  await all;
  expect(log).toEqual([]);
});

it('is done in turns: what is short does not wait for what is long', async () => {
  const log: string[] = [];
  const long = ['a', 'b', 'c'].map((name) => started(name, 50, log));
  const before = log.length;
  await started('short', 3, log);
  expect(log.length - before).toBeLessThanOrEqual((3 + 3 * 3) * PIECES_A_TURN);
  await Promise.all(long);
  expect(log).toHaveLength((3 * 50 + 3) * PIECES_A_TURN);
});

it('goes on for the others when one has had enough, or fails', async () => {
  const log: string[] = [];
  const other = started('other', 5, log);
  let cost = 0;
  const work = () => new PacedWork(() => cost, 1);
  const spend = (result?: symbol) => () => {
    cost += 1;
    return result;
  };
  await work().each([1, 2, 3], spend(ENOUGH));
  const failing = work().each([1, 2, 3], () => {
    cost += 1;
    if (cost > 2) throw new Error('broken');
  });
  await expect(failing).rejects.toThrow('broken');
  await other;
  expect(log).toHaveLength(5 * PIECES_A_TURN);
});
