import type { Automaton } from './automaton.ts';
import { spend } from './work.ts';

const BITS = 32;

/** Sets of states of one automaton, a bit for each, one behind the other. */
export interface StateSets {
  readonly words: number;
  readonly bits: Int32Array;
}

export function stateSets({ accepts }: Automaton, count: number): StateSets {
  const words = (accepts.length + BITS - 1) >> 5;
  return { words, bits: new Int32Array(words * count) };
}

export function addState({ words, bits }: StateSets, set: number, state: number): void {
  bits[set * words + (state >> 5)]! |= 1 << (state & 31);
}

export function removeState({ words, bits }: StateSets, set: number, state: number): void {
  bits[set * words + (state >> 5)]! &= ~(1 << (state & 31));
}

export function clear({ words, bits }: StateSets, set: number): void {
  bits.fill(0, set * words, (set + 1) * words);
}

/** Adds all of one set to another, perhaps among other sets of the same automaton's states. */
export function addStates({ words, bits }: StateSets, into: number, others: StateSets, from: number): void {
  for (let word = 0; word < words; word += 1) bits[into * words + word]! |= others.bits[from * words + word]!;
  spend(words);
}

export function hasState({ words, bits }: StateSets, set: number, state: number): boolean {
  return (bits[set * words + (state >> 5)]! & (1 << (state & 31))) !== 0;
}

/** Some transitions of an automaton. Those that lead equally far on are one shift. */
export class Gate {
  readonly #automaton: Automaton;
  readonly #distances: number[] = [];
  /** For each distance the states that such transitions lead from. */
  readonly #from: Int32Array[] = [];

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  add(state: number, edge: number): void {
    const distance = this.#automaton.targets[edge]! - state;
    let at = this.#distances.indexOf(distance);
    if (at < 0) {
      at = this.#distances.push(distance) - 1;
      this.#from.push(stateSets(this.#automaton, 1).bits);
    }
    this.#from[at]![state >> 5]! |= 1 << (state & 31);
  }

  targets(): Set<number> {
    const { words } = stateSets(this.#automaton, 0);
    const targets = new Set<number>();
    for (const [at, distance] of this.#distances.entries())
      for (let state = 0; state < words * BITS; state += 1)
        if ((this.#from[at]![state >> 5]! & (1 << (state & 31))) !== 0) targets.add(state + distance);
    return targets;
  }

  /** Adds to one set the states from which these transitions lead into another. Returns whether any is new. */
  addBefore({ words, bits }: StateSets, into: number, target: number): boolean {
    const [to, of] = [into * words, target * words];
    let added = 0;
    spend(1 + words * this.#distances.length);
    for (let at = 0; at < this.#distances.length; at += 1) {
      const distance = this.#distances[at]!;
      const from = this.#from[at]!;
      const [skipped, shift] = [distance >> 5, distance & 31];
      for (let word = 0; word < words; word += 1) {
        if (from[word] === 0) continue;
        const source = word + skipped;
        let moved = source >= 0 && source < words ? bits[of + source]! >>> shift : 0;
        if (shift > 0 && source + 1 >= 0 && source + 1 < words) moved |= bits[of + source + 1]! << (BITS - shift);
        const fresh = moved & from[word]! & ~bits[to + word]!;
        bits[to + word]! |= fresh;
        added |= fresh;
      }
    }
    return added !== 0;
  }

  /** Adds to one set the states to which these transitions lead out of another. */
  addBehind({ words, bits }: StateSets, into: number, source: number): void {
    const [to, of] = [into * words, source * words];
    spend(1 + words * this.#distances.length);
    for (let at = 0; at < this.#distances.length; at += 1) {
      const distance = this.#distances[at]!;
      const from = this.#from[at]!;
      const [skipped, shift] = [distance >> 5, distance & 31];
      for (let word = 0; word < words; word += 1) {
        const moving = bits[of + word]! & from[word]!;
        if (moving === 0) continue;
        // No transition leads beyond the last state, or before the first: what has no word is empty.
        const low = moving << shift;
        const high = shift === 0 ? 0 : moving >>> (BITS - shift);
        if (low !== 0) bits[to + word + skipped]! |= low;
        if (high !== 0) bits[to + word + skipped + 1]! |= high;
      }
    }
  }
}
