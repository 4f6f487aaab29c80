import type { Automaton } from './automaton.ts';
import { commonPoint, hasPoint } from './char-set.ts';

/** Whether a label of an automaton is, or has, a code point. */
export function takes({ sets }: Automaton, label: number, point: number): boolean {
  return label >= 0 ? label === point : hasPoint(sets[~label]!, point);
}

/**
 * A point that a label of each automaton takes, -1 if they share none. Where there is a choice neither `/` nor `.`, after which
 * less may follow; a slash that matters to either pattern is a label of its own there.
 */
export function meetLabels(a: Automaton, b: Automaton, labelA: number, labelB: number): number {
  if (labelA >= 0) return takes(b, labelB, labelA) ? labelA : -1;
  if (labelB >= 0) return takes(a, labelA, labelB) ? labelB : -1;
  return commonPoint(a.sets[~labelA]!, b.sets[~labelB]!);
}
