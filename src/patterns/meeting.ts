import type { Automaton } from './automaton.ts';

/** Two automata that run side by side, both compiled for the same case mode. */
export interface Pair {
  readonly a: Automaton;
  readonly b: Automaton;
}

/** Where two automata stand once the literal text that both demand is consumed. */
export interface Meeting {
  readonly prefix: string;
  /** `prefix` as the pattern that demands all of it spells it. */
  readonly spelling: string;
  readonly starts: readonly (readonly [a: number, b: number])[];
}

/** The same with the two automata the other way around. */
export const mirrored = (meeting: Meeting): Meeting => ({
  ...meeting,
  starts: meeting.starts.map(([first, second]) => [second, first]),
});
