import { enter, entryCount, stateOf } from './frontier.ts';
import { meetLabels } from './labels.ts';
import type { Pair } from './meeting.ts';
import type { Outlook } from './outlook.ts';
import { nextValidity, VALID_END, VALIDITY_STATES } from './validity.ts';
import { spend } from './work.ts';

/** Steps that a pair of transitions costs, and one state: see `workDone`. */
const STEPS_A_PAIR = 2;
const STEPS_A_STATE = 4;

/** Where both automata of a pair are, and what the path's last segment holds. */
export interface Place {
  readonly first: number;
  readonly second: number;
  readonly validity: number;
}

/** The number of a state of the product. @param width how many states the second automaton has */
export function numberOf(first: number, second: number, validity: number, width: number): number {
  return (first * width + second) * VALIDITY_STATES + validity;
}

export function placeOf(state: number, width: number): Place {
  const validity = state % VALIDITY_STATES;
  const both = (state - validity) / VALIDITY_STATES;
  const second = both % width;
  return { first: (both - second) / width, second, validity };
}

/**
 * Enters what follows the entry `at`; returns the entry of an accepting state once there is one, else -1.
 * @param outlook where only that is entered from which a path can be completed
 */
export function expand(pair: Pair, at: number, outlook?: Outlook): number {
  const { a, b } = pair;
  const { first, second, validity } = placeOf(stateOf(at), b.accepts.length);
  const endA = a.first[first + 1]!;
  const endB = b.first[second + 1]!;
  spend(STEPS_A_STATE + STEPS_A_PAIR * (endA - a.first[first]!) * (endB - b.first[second]!));
  for (let edgeA = a.first[first]!; edgeA < endA; edgeA++) {
    for (let edgeB = b.first[second]!; edgeB < endB; edgeB++) {
      if (take(pair, edgeA, edgeB, at, validity, outlook)) return entryCount() - 1;
    }
  }
  return -1;
}

/** Follows one transition of each; true if that completes a path. It is then the last entry. */
function take(pair: Pair, edgeA: number, edgeB: number, at: number, validity: number, outlook?: Outlook): boolean {
  const { a, b } = pair;
  const targetA = a.targets[edgeA]!;
  const targetB = b.targets[edgeB]!;
  const point = meetLabels(a, b, a.labels[edgeA]!, b.labels[edgeB]!);
  const next = point < 0 ? -1 : nextValidity(validity, point);
  if (next < 0 || outlook?.leadsOn(targetA, targetB, next) === false) return false;
  enter(numberOf(targetA, targetB, next, b.accepts.length), at, point);
  // Not entered before: the search would have ended there.
  return next === VALID_END && a.accepts[targetA] === 1 && b.accepts[targetB] === 1;
}
