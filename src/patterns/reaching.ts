import type { Automaton } from './automaton.ts';
import { addState, removeState, type StateSets } from './state-sets.ts';
import { LOOP } from './step-dag.ts';
import { spend } from './work.ts';

/** For each state of an automaton, from which others it can be reached: whatever is meant by that. */
export class Reaching {
  readonly #before: StateSets;
  readonly #done: Int32Array;

  /** @param before a set for each state, of those that reach it in one step. Made whole here, and kept. */
  constructor(automaton: Automaton, before: StateSets) {
    this.#before = before;
    this.#done = new Int32Array(before.words);
    for (const state of endsFirst(automaton).toReversed()) {
      // What reaches it is not known yet.
      removeState(before, state, state);
      this.addTo(before, state);
      addState(before, state, state);
    }
  }

  /** Adds to a set whatever reaches one of it. */
  addTo({ words, bits }: StateSets, set: number): void {
    const at = set * words;
    const done = this.#done.fill(0);
    for (let word = words - 1; word >= 0; word -= 1) {
      for (let left = bits[at + word]!; left !== 0; left = bits[at + word]! & ~done[word]!) {
        const place = 31 - Math.clz32(left);
        done[word]! |= 1 << place;
        const from = (32 * word + place) * words;
        // What reaches those in turn is there already.
        for (let of = 0; of < words; of += 1) {
          const reaching = this.#before.bits[from + of]!;
          bits[at + of]! |= reaching;
          done[of]! |= reaching;
        }
        spend(words);
      }
    }
  }
}

/** The states in such an order that each leads, but around its own loop, to earlier ones only. */
export function endsFirst(automaton: Automaton): number[] {
  const { accepts, first, targets, loops } = automaton;
  const order: number[] = [];
  const entered = new Uint8Array(accepts.length);
  const visit = (state: number): void => {
    entered[state] = 1;
    for (let edge = first[state]!; edge < first[state + 1]!; edge += 1) {
      const target = targets[edge]!;
      // The inside of a `**` leads back to its beginning, and nowhere else.
      if (entered[target] === 0 && loops[state] !== LOOP.inside) visit(target);
    }
    order.push(state);
  };
  for (let state = 0; state < accepts.length; state += 1) if (entered[state] === 0) visit(state);
  return order;
}
