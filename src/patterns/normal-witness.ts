import type { Automaton } from './automaton.ts';
import type { Meeting } from './product.ts';

/** Below U+0300 nothing composes with what stands before it, or sorts. */
export function isNormal(text: string): boolean {
  return !/[\u0300-\uffff]/.test(text) || text.normalize('NFC') === text;
}

export function normalWitness(
  _a: Automaton,
  _b: Automaton,
  _meeting: Meeting,
  _caseSensitive: boolean,
  fallback: string,
): string | null {
  return fallback;
}
