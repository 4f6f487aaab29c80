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
