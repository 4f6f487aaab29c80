import type { Automaton } from './automaton.ts';
import { hasPoint } from './char-set.ts';
import { addState, clear, Gate, hasState, type StateSets, stateSets } from './state-sets.ts';
import { spend } from './work.ts';

/** Steps that it costs to see whether a label takes a code point: see `workDone`. */
const STEPS_A_LABEL = 2;

const known = new WeakMap<Automaton, ReadonlyMap<number, Gate>>();

/** The transitions of each label. Worked out when it is first asked for: most automata are never in many states at once. */
function gatesOf(automaton: Automaton): ReadonlyMap<number, Gate> {
  const before = known.get(automaton);
  if (before !== undefined) return before;
  const gates = new Map<number, Gate>();
  for (let state = 0; state < automaton.accepts.length; state += 1) {
    for (let edge = automaton.first[state]!; edge < automaton.first[state + 1]!; edge += 1) {
      const label = automaton.labels[edge]!;
      const gate = gates.get(label) ?? new Gate(automaton);
      gates.set(label, gate);
      gate.add(state, edge);
    }
  }
  spend(automaton.labels.length);
  known.set(automaton, gates);
  return gates;
}

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
      const labels = [...gates.keys()].filter((label) => label === point || this.#hasPoint(label, point));
      spend(STEPS_A_LABEL * gates.size);
      this.#taking.set(point, (taking = labels.map((label) => gates.get(label)!)));
    }
    return taking;
  }

  #hasPoint(label: number, point: number): boolean {
    return label < 0 && hasPoint(this.#automaton.sets[~label]!, point);
  }
}
