import type { Automaton } from './automaton.ts';
import { addState, addStates, hasState, type StateSets, stateSets } from './state-sets.ts';
import { spend } from './work.ts';

const BITS = 32;
/** The two sets of a shift. */
const FROM = 0;
const TO = 1;

/** Transitions that lead equally far on: the states they lead from, and those they lead to. */
interface Shift {
  readonly distance: number;
  readonly ends: StateSets;
}

/** Some transitions of an automaton, which are followed for a whole set of states at once. */
export class Gate {
  readonly #automaton: Automaton;
  readonly #shifts: Shift[] = [];

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  add(state: number, target: number): void {
    const { ends } = this.#shiftBy(target - state);
    addState(ends, FROM, state);
    addState(ends, TO, target);
  }

  /** All of another gate of the same automaton. */
  addAll(other: Gate): void {
    for (const { distance, ends } of other.#shifts) {
      const own = this.#shiftBy(distance).ends;
      for (const end of [FROM, TO]) addStates(own, end, ends, end);
    }
  }

  #shiftBy(distance: number): Shift {
    let shift = this.#shifts.find((one) => one.distance === distance);
    if (shift === undefined) this.#shifts.push((shift = { distance, ends: stateSets(this.#automaton, 2) }));
    return shift;
  }

  get targets(): number[] {
    const states = Array.from(this.#automaton.accepts, (_, state) => state);
    return states.filter((state) => this.#shifts.some(({ ends }) => hasState(ends, TO, state)));
  }

  /** Adds to one set the states from which these transitions lead into another. Returns whether any is new. */
  addBefore(sets: StateSets, into: number, target: number): boolean {
    let isNew = false;
    for (const { distance, ends } of this.#shifts) isNew = move(sets, into, target, distance, ends) || isNew;
    return isNew;
  }
}

/** Adds to one set the states from which transitions of a shift lead into another; returns whether any is new. */
function move({ words, bits }: StateSets, into: number, other: number, distance: number, ends: StateSets): boolean {
  const [to, of] = [into * words, other * words];
  const [skipped, shift] = [distance >> 5, distance & 31];
  let added = 0;
  spend(words);
  for (let word = 0; word < words; word += 1) {
    const meant = ends.bits[FROM * words + word]!;
    if (meant === 0) continue;
    const low = word + skipped;
    let moved = low >= 0 && low < words ? bits[of + low]! >>> shift : 0;
    if (shift > 0 && low + 1 >= 0 && low + 1 < words) moved |= bits[of + low + 1]! << (BITS - shift);
    const fresh = moved & meant & ~bits[to + word]!;
    bits[to + word]! |= fresh;
    added |= fresh;
  }
  return added !== 0;
}

const known = new WeakMap<Automaton, ReadonlyMap<number, Gate>>();

/** The transitions of each label. Worked out when it is first asked for: only what is costly needs it. */
export function gatesOf(automaton: Automaton): ReadonlyMap<number, Gate> {
  const before = known.get(automaton);
  if (before !== undefined) return before;
  const { accepts, first, labels, targets } = automaton;
  const gates = new Map<number, Gate>();
  for (let state = 0; state < accepts.length; state += 1) {
    for (let edge = first[state]!; edge < first[state + 1]!; edge += 1) {
      const gate = gates.get(labels[edge]!) ?? new Gate(automaton);
      gates.set(labels[edge]!, gate);
      gate.add(state, targets[edge]!);
    }
  }
  spend(labels.length);
  known.set(automaton, gates);
  return gates;
}
