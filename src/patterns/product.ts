import type { Automaton } from './automaton.ts';
import { commonPoint, hasPoint } from './char-set.ts';
import { hasTooManyMarks } from './marks.ts';
import type { Meeting, Pair } from './meeting.ts';
import { isNormal, normalWitness } from './normal-witness.ts';
import { statesAfter } from './simulation.ts';
import { nextValidity, VALID_END, VALIDITY_STATES, validityAfter } from './validity.ts';
import { spend } from './work.ts';

/** Steps that a pair of transitions costs, and one state: see `workDone`. */
const STEPS_A_PAIR = 2;
const STEPS_A_STATE = 4;

/** Breadth-first search over the product; reused between calls, which never interleave. */
const scratch = {
  generation: 0,
  seen: new Int32Array(1 << 12),
  states: new Int32Array(1 << 12),
  parents: new Int32Array(1 << 12),
  points: new Int32Array(1 << 12),
  /** Entries of the queue that the last search used. */
  length: 0,
};

/**
 * A shortest path that both automata accept, in NFC and with no more marks in a row than a path may have, or null if
 * there is none. Both are compiled for the same case mode; `caseSensitive` false says that they read folded paths.
 */
export function findWitness(a: Automaton, b: Automaton, caseSensitive: boolean): string | null {
  const meeting = meet(a, b);
  if (meeting === null) return null;
  const rest = search({ a, b }, meeting);
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

function search(pair: Pair, meeting: Meeting): string | null {
  const { a, b } = pair;
  const width = b.accepts.length;
  reset(a.accepts.length * width * VALIDITY_STATES);
  const validity = validityAfter(meeting.prefix);
  for (const [first, second] of meeting.starts) {
    if (validity === VALID_END && a.accepts[first] === 1 && b.accepts[second] === 1) return '';
    enter((first * width + second) * VALIDITY_STATES + validity, -1, -1);
  }
  for (let at = 0; at < scratch.length; at++) {
    const found = expand(pair, at);
    if (found >= 0) return textTo(found);
  }
  return null;
}

function reset(size: number): void {
  if (scratch.seen.length < size) {
    scratch.seen = new Int32Array(size);
    scratch.states = new Int32Array(size);
    scratch.parents = new Int32Array(size);
    scratch.points = new Int32Array(size);
    scratch.generation = 0;
  }
  scratch.generation++;
  if (scratch.generation === 0x7fffffff) {
    scratch.seen.fill(0);
    scratch.generation = 1;
  }
  scratch.length = 0;
}

function enter(state: number, parent: number, point: number): void {
  if (scratch.seen[state] === scratch.generation) return;
  scratch.seen[state] = scratch.generation;
  scratch.states[scratch.length] = state;
  scratch.parents[scratch.length] = parent;
  scratch.points[scratch.length] = point;
  scratch.length++;
}

/** Enters what follows the queue's entry `at`; returns the entry of an accepting state once there is one, else -1. */
function expand(pair: Pair, at: number): number {
  const { a, b } = pair;
  const width = b.accepts.length;
  const state = scratch.states[at]!;
  const validity = state % VALIDITY_STATES;
  const both = (state - validity) / VALIDITY_STATES;
  const second = both % width;
  const first = (both - second) / width;
  const endA = a.first[first + 1]!;
  const endB = b.first[second + 1]!;
  spend(STEPS_A_STATE + STEPS_A_PAIR * (endA - a.first[first]!) * (endB - b.first[second]!));
  for (let edgeA = a.first[first]!; edgeA < endA; edgeA++) {
    for (let edgeB = b.first[second]!; edgeB < endB; edgeB++) {
      if (take(pair, edgeA, edgeB, at, validity)) return scratch.length - 1;
    }
  }
  return -1;
}

/** Follows one transition of each; true if that completes a path. It is then the last entry of the queue. */
function take(pair: Pair, edgeA: number, edgeB: number, at: number, validity: number): boolean {
  const { a, b } = pair;
  const labelA = a.labels[edgeA]!;
  const labelB = b.labels[edgeB]!;
  const targetA = a.targets[edgeA]!;
  const targetB = b.targets[edgeB]!;
  const target = (targetA * b.accepts.length + targetB) * VALIDITY_STATES;
  const point = meetLabels(a, b, labelA, labelB);
  const next = point < 0 ? -1 : nextValidity(validity, point);
  if (next >= 0) {
    enter(target + next, at, point);
    // Not entered before: the search would have ended there.
    if (next === VALID_END && a.accepts[targetA] === 1 && b.accepts[targetB] === 1) return true;
  }
  return false;
}

/**
 * The point to go on with, -1 if the labels share none. Where there is a choice neither `/` nor `.`, after which less
 * may follow; a slash that matters to either pattern is a label of its own there.
 */
function meetLabels(a: Automaton, b: Automaton, labelA: number, labelB: number): number {
  if (labelA >= 0) {
    if (labelB >= 0) return labelA === labelB ? labelA : -1;
    return hasPoint(b.sets[~labelB]!, labelA) ? labelA : -1;
  }
  if (labelB >= 0) return hasPoint(a.sets[~labelA]!, labelB) ? labelB : -1;
  return commonPoint(a.sets[~labelA]!, b.sets[~labelB]!);
}

function textTo(entry: number): string {
  const points: number[] = [];
  for (let at = entry; scratch.points[at]! >= 0; at = scratch.parents[at]!) points.push(scratch.points[at]!);
  return String.fromCodePoint(...points.toReversed());
}
