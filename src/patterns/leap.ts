import type { Automaton } from './automaton.ts';
import { SLASH } from './char-set.ts';
import { enterBy, entryCount, isEntered, stateOf } from './frontier.ts';
import { READABLE } from './inert.ts';
import type { Pair } from './meeting.ts';
import { expand, numberOf, type Place, placeOf } from './product-step.ts';
import { during, forwardEdges, type Prospect, prospectOf, stateAhead } from './prospect.ts';
import { LOOP } from './step-dag.ts';
import { nextValidity, VALID_END, VALIDITY_START } from './validity.ts';
import { spend } from './work.ts';

/** Steps that it costs to look where one state may leap: see `workDone`. */
const STEPS_A_LOOK = 6;
/** Composes with nothing: a mark behind it, or before it, stays what it is. */
const FILLER = READABLE[0]!;

/** To another place, by a text. */
interface Leap extends Place {
  readonly text: string;
}

/** Of one of the two, which the other leaves where it is. */
interface Step {
  readonly own: number;
  readonly validity: number;
  readonly text: string;
}

/**
 * Goes on from what is entered, to whether there is a path at all: the entry that completes one, -1 for none. Not the
 * shortest, but a product of two automata at the limits, which has 9,000 states and more, costs as much as some hundred.
 *
 * - A state need not be followed where one is entered that accepts all that it does: in `*a*b` the second star can do all that
 *   the first can (see `Prospect`), whatever the other automaton is in.
 * - Where both are in a loop, each can go to its next one while the other runs over the text between: no choice is lost by that.
 * - Where one demands more than the other can ever take, nothing follows.
 */
export class LeapingSearch {
  readonly #pair: Pair;
  readonly #a: Prospect;
  readonly #b: Prospect;

  constructor(pair: Pair) {
    this.#pair = pair;
    this.#a = prospectOf(pair.a);
    this.#b = prospectOf(pair.b);
  }

  run(): number {
    for (let at = 0; at < entryCount(); at += 1) {
      spend(STEPS_A_LOOK);
      const place = placeOf(stateOf(at), this.#width);
      if (this.#isHopeless(place) || this.#isOutdone(place)) continue;
      const next = this.#leapFrom(place);
      const found = next === null ? expand(this.#pair, at) : this.#take(next, at);
      if (found >= 0) return found;
    }
    return -1;
  }

  /** As `expand`: the entry of a place that completes a path, else -1. */
  #take({ first, second, validity, text }: Leap, at: number): number {
    enterBy(numberOf(first, second, validity, this.#width), at, text);
    const { a, b } = this.#pair;
    const isEnd = validity === VALID_END && a.accepts[first] === 1 && b.accepts[second] === 1;
    // Not entered before: the search would have ended there.
    return isEnd ? entryCount() - 1 : -1;
  }

  get #width(): number {
    return this.#pair.b.accepts.length;
  }

  #isHopeless({ first, second }: Place): boolean {
    const [a, b] = [this.#a, this.#b];
    return a.shortest[first]! > b.longest[second]! || b.shortest[second]! > a.longest[first]!;
  }

  /** Never in a circle: what outdoes a state is further on, in one of the two. */
  #isOutdone({ first, second, validity }: Place): boolean {
    const beyondA = stateAhead(this.#a, first, validity === VALIDITY_START);
    if (beyondA >= 0 && isEntered(numberOf(beyondA, second, validity, this.#width))) return true;
    const beyondB = stateAhead(this.#b, second, validity === VALIDITY_START);
    return beyondB >= 0 && isEntered(numberOf(first, beyondB, validity, this.#width));
  }

  /** What is to be followed instead of the place's own transitions, if it can leap: what it may come to, so may the place behind. */
  #leapFrom({ first, second, validity }: Place): Leap | null {
    const a = leap(this.#a, first, this.#b, second, validity);
    if (a !== null) return { first: a.own, second, validity: a.validity, text: a.text };
    const b = leap(this.#b, second, this.#a, first, validity);
    return b && { first, second: b.own, validity: b.validity, text: b.text };
  }
}

/**
 * From a loop to the one ahead, by a text that the other, in a loop too, runs over; null where that cannot be, or where it could
 * lose what begins at this segment's beginning.
 */
function leap(side: Prospect, state: number, other: Prospect, otherState: number, validity: number): Step | null {
  const { loops } = side.automaton;
  const otherLoop = other.automaton.loops[otherState]!;
  const target = side.ahead[state]!;
  if (target < 0 || loops[state] === LOOP.none || otherLoop === LOOP.none) return null;
  const way = wayTo(side.automaton, state, target);
  if (way === null) return null;
  // What comes before and behind it is part of no mark's cluster, and of a segment that may be anything.
  if (loops[state] !== LOOP.globstar) way.unshift(FILLER);
  if (validity !== VALIDITY_START || validityBehind(way, validity) !== VALIDITY_START) way.push(FILLER);
  spend(way.length);
  const after = validityBehind(way, validity);
  if (after < 0 || (otherLoop === LOOP.globstar && after !== VALIDITY_START)) return null;
  if (otherLoop === LOOP.star && way.includes(SLASH)) return null;
  const text = String.fromCodePoint(...way);
  return { own: during(side.automaton, target, after === VALIDITY_START), validity: after, text };
}

/** Points that lead from a state to the loop that all ways from it come to; null if one of them is out of an empty set. */
function wayTo(automaton: Automaton, from: number, to: number): number[] | null {
  const { labels, targets, sets } = automaton;
  const points: number[] = [];
  for (let state = from; state !== to; ) {
    const [edge] = forwardEdges(automaton, state);
    const label = labels[edge!]!;
    const point = label < 0 ? sets[~label]!.favourite : label;
    if (point < 0) return null;
    points.push(point);
    state = targets[edge!]!;
  }
  return points;
}

/** -1 if no valid path goes on so. */
function validityBehind(points: readonly number[], before: number): number {
  let validity = before;
  for (const point of points) {
    validity = nextValidity(validity, point);
    if (validity < 0) return -1;
  }
  return validity;
}
