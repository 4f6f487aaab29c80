import type { Automaton } from './automaton.ts';
import { type Gate, gatesOf } from './gate.ts';
import { takes } from './labels.ts';
import { addState, clear, hasState, type StateSets, stateSets } from './state-sets.ts';
import { spend } from './work.ts';

/** Steps that it costs to see whether a label takes a code point: see `workDone`. */
const STEPS_A_LABEL = 2;

/** An automaton in many states at once: all of them go on together, by as many steps as it has words of states. */
export class Crowd {
  readonly #automaton: Automaton;
  /** Two sets, of which the states are in one after the other. */
  readonly #sets: StateSets;
  #now = 0;
  readonly #taking = new Map<number, readonly Gate[]>();

  constructor(automaton: Automaton, states: readonly number[]) {
    this.#automaton = automaton;
    this.#sets = stateSets(automaton, 2);
    for (const state of states) addState(this.#sets, this.#now, state);
  }

  read(point: number): void {
    const next = 1 - this.#now;
    clear(this.#sets, next);
    for (const gate of this.#gatesFor(point)) gate.addBehind(this.#sets, next, this.#now);
    this.#now = next;
  }

  get states(): readonly number[] {
    const states: number[] = [];
    for (let state = 0; state < this.#automaton.accepts.length; state += 1)
      if (hasState(this.#sets, this.#now, state)) states.push(state);
    return states;
  }

  #gatesFor(point: number): readonly Gate[] {
    let taking = this.#taking.get(point);
    if (taking === undefined) {
      const gates = gatesOf(this.#automaton);
      const labels = [...gates.keys()].filter((label) => takes(this.#automaton, label, point));
      spend(STEPS_A_LABEL * gates.size);
      this.#taking.set(point, (taking = labels.map((label) => gates.get(label)!)));
    }
    return taking;
  }
}
