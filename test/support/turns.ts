import { workDone } from '../../src/patterns/index.ts';

/** Turns of the event loop that everything else had while `act` ran. */
export async function turnsDuring(act: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  await eachTurnOf(act, () => {
    turns += 1;
  });
  return turns;
}

/** Steps of `workDone` that everything else had to wait for at most while `act` ran. */
export async function mostStepsInATurn(act: () => Promise<unknown>): Promise<number> {
  let most = 0;
  let before = workDone();
  await eachTurnOf(act, () => {
    most = Math.max(most, workDone() - before);
    before = workDone();
  });
  return most;
}

async function eachTurnOf(act: () => Promise<unknown>, turn: () => void): Promise<void> {
  let isDone = false;
  const others = (): void => {
    turn();
    if (!isDone) setImmediate(others);
  };
  setImmediate(others);
  await act();
  isDone = true;
}
