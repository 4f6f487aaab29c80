import type { Automaton } from './automaton.ts';
import { enter, entryCount, reset, textTo } from './frontier.ts';
import { LeapingSearch } from './leap.ts';
import { hasTooManyMarks } from './marks.ts';
import type { Meeting, Pair } from './meeting.ts';
import { isNormal, normalWitness } from './normal-witness.ts';
import { expand, numberOf } from './product-step.ts';
import { statesAfter } from './simulation.ts';
import { VALID_END, VALIDITY_STATES, validityAfter } from './validity.ts';

/** States of the product that are gone through for a shortest path; most pairs have fewer than fifty. */
const STATES_MAX = 256;

/**
 * A path that both automata accept, in NFC and with no more marks in a row than a path may have, or null if there is none: a
 * shortest one, but of pairs that are costly to compare. Both are compiled for the same case mode; `caseSensitive` false says that they read folded paths.
 * @param statesMax after how many states it is no shortest one any more that is looked for
 */
export function findWitness(
  a: Automaton,
  b: Automaton,
  caseSensitive: boolean,
  statesMax: number = STATES_MAX,
): string | null {
  const meeting = meet(a, b);
  if (meeting === null) return null;
  const rest = search({ a, b }, meeting, statesMax);
  if (rest === null) return null;
  const witness = meeting.spelling + rest;
  if (isNormal(witness) && !hasTooManyMarks(witness)) return witness;
  return normalWitness({ a, b }, meeting, caseSensitive, witness);
}

/** Compares the literal beginnings, and runs the automaton with the shorter one over what the other still demands. */
function meet(a: Automaton, b: Automaton): Meeting | null {
  if (b.prefix.length > a.prefix.length) {
    const mirrored = meet(b, a);
    return mirrored && { ...mirrored, starts: mirrored.starts.map(([second, first]) => [first, second]) };
  }
  if (!a.prefix.startsWith(b.prefix)) return null;
  const states = a.prefix.length === b.prefix.length ? b.starts : statesAfter(b, a.prefix, b.prefix.length);
  const starts = a.starts.flatMap((first) => states.map((second) => [first, second] as const));
  return starts.length === 0 ? null : { prefix: a.prefix, spelling: a.spelling, starts };
}

function search(pair: Pair, meeting: Meeting, statesMax: number): string | null {
  if (begin(pair, meeting)) return '';
  for (let at = 0; at < entryCount(); at++) {
    if (at === statesMax) return searchByLeaps(pair, meeting);
    const found = expand(pair, at);
    if (found >= 0) return textTo(found);
  }
  return null;
}

/** Enters the places where the two may begin; true if one of them ends a path already. */
function begin({ a, b }: Pair, meeting: Meeting): boolean {
  const width = b.accepts.length;
  reset(a.accepts.length * width * VALIDITY_STATES);
  const validity = validityAfter(meeting.prefix);
  for (const [first, second] of meeting.starts) {
    if (validity === VALID_END && a.accepts[first] === 1 && b.accepts[second] === 1) return true;
    enter(numberOf(first, second, validity, width), -1, -1);
  }
  return false;
}

function searchByLeaps(pair: Pair, meeting: Meeting): string | null {
  begin(pair, meeting);
  const found = new LeapingSearch(pair).run();
  return found < 0 ? null : textTo(found);
}
