import { Ahead } from './ahead.ts';
import type { Automaton } from './automaton.ts';
import { enter, entryCount, reset, stateOf, textTo } from './frontier.ts';
import { hasTooManyMarks } from './marks.ts';
import { type Meeting, mirrored, type Pair } from './meeting.ts';
import { isNormal, normalWitness } from './normal-witness.ts';
import { expand, numberOf, placeOf } from './product-step.ts';
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
  const ahead = new Ahead({ a, b }, meeting);
  const rest = search({ a, b }, meeting, statesMax, ahead);
  if (rest === null) return null;
  const witness = meeting.spelling + rest;
  if (isNormal(witness) && !hasTooManyMarks(witness)) return witness;
  return normalWitness(ahead, caseSensitive, witness);
}

/** Compares the literal beginnings, and runs the automaton with the shorter one over what the other still demands. */
function meet(a: Automaton, b: Automaton): Meeting | null {
  if (b.prefix.length > a.prefix.length) {
    const meeting = meet(b, a);
    return meeting && mirrored(meeting);
  }
  if (!a.prefix.startsWith(b.prefix)) return null;
  const states = a.prefix.length === b.prefix.length ? b.starts : statesAfter(b, a.prefix, b.prefix.length);
  const starts = a.starts.flatMap((first) => states.map((second) => [first, second] as const));
  return starts.length === 0 ? null : { prefix: a.prefix, spelling: a.spelling, starts };
}

function search(pair: Pair, meeting: Meeting, statesMax: number, ahead: Ahead): string | null {
  if (begin(pair, meeting)) return '';
  for (let at = 0; at < entryCount(); at++) {
    if (at === statesMax) return searchByOutlook(ahead);
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

/**
 * Whether there is a path at all is worked out first, from the ends: then whatever is entered leads on to one, and what goes on in
 * both is tried before what goes around.
 */
function searchByOutlook({ pair, meeting, outlook }: Ahead): string | null {
  begin(pair, meeting);
  const open: number[] = [];
  for (let entry = 0; entry < entryCount(); entry++) {
    const { first, second, validity } = placeOf(stateOf(entry), pair.b.accepts.length);
    if (outlook.leadsOn(first, second, validity)) open.push(entry);
  }
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const known = entryCount();
    const found = expand(pair, at, outlook);
    if (found >= 0) return textTo(found);
    for (let entry = known; entry < entryCount(); entry++) open.push(entry);
  }
  return null;
}
