import { setImmediate as nextTurn } from 'node:timers/promises';
import { workDone } from './work.ts';

/** Steps between two turns of the event loop: some three milliseconds. */
const STEPS_A_TURN = 300_000;

/** Lets everything else go on between pieces of work that would take long together. */
export class Turns {
  #since = workDone();

  get isDue(): boolean {
    return workDone() - this.#since >= STEPS_A_TURN;
  }

  async take(): Promise<void> {
    await nextTurn();
    this.#since = workDone();
  }
}
