import type { Automaton } from './automaton.ts';
import { Crowd } from './crowd.ts';
import { takes } from './labels.ts';
import { holdsNeedles } from './needles.ts';
import { spend } from './work.ts';

/** Beyond so many states at once, or so many transitions tried, it pays to have all of them go on together. */
const CROWD = 8;
const TRIED_ALONE = 1000;

/** Which step last entered a state, and the transitions tried; reused between calls, which never interleave. */
const entered = { step: 0, by: new Int32Array(1 << 10), tried: 0 };

/**
 * The states in which `automaton` may be after `text` from `offset` on, beginning in its start states. Each state
 * is listed once, so the cost is bounded by length times transitions, whatever the stars, and by far less where they are many.
 */
export function statesAfter(automaton: Automaton, text: string, offset: number): readonly number[] {
  const size = automaton.accepts.length;
  // Wrapped around, a step could be taken for one of long ago.
  if (entered.by.length < size || entered.step > 0x7fff0000) {
    entered.by = new Int32Array(Math.max(size, entered.by.length));
    entered.step = 0;
  }
  entered.tried = 0;
  let current = automaton.starts;
  let at = offset;
  while (at < text.length && current.length > 0 && current.length <= CROWD && entered.tried <= TRIED_ALONE) {
    const point = text.codePointAt(at)!;
    current = successors(automaton, current, point);
    at += lengthOf(point);
  }
  spend(entered.tried);
  return current.length > 0 && at < text.length ? afterTogether(automaton, current, text, at) : current;
}

function afterTogether(
  automaton: Automaton,
  states: readonly number[],
  text: string,
  offset: number,
): readonly number[] {
  const crowd = new Crowd(automaton, states);
  for (let at = offset; at < text.length; ) {
    const point = text.codePointAt(at)!;
    crowd.read(point);
    at += lengthOf(point);
  }
  return crowd.states;
}

/** In UTF-16 units. */
const lengthOf = (point: number): number => (point > 0xffff ? 2 : 1);

function successors(automaton: Automaton, states: readonly number[], point: number): readonly number[] {
  const next: number[] = [];
  const step = ++entered.step;
  for (const state of states) {
    const begin = automaton.first[state]!;
    const end = automaton.first[state + 1]!;
    entered.tried += 1 + end - begin;
    for (let edge = begin; edge < end; edge++) {
      const target = automaton.targets[edge]!;
      if (entered.by[target] === step || !takes(automaton, automaton.labels[edge]!, point)) continue;
      entered.by[target] = step;
      next.push(target);
    }
  }
  return next;
}

/** Whether the automaton accepts the whole of a valid path (a folded one, if it was compiled so). */
export function acceptsPath(automaton: Automaton, text: string): boolean {
  const { prefix, needles } = automaton;
  if (!text.startsWith(prefix) || !holdsNeedles(needles, text, prefix.length)) return false;
  return statesAfter(automaton, text, prefix.length).some((state) => automaton.accepts[state] === 1);
}
