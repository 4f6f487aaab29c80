import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Alphabet } from '../../src/patterns/alphabet.ts';
import type { Automaton } from '../../src/patterns/automaton.ts';
import { Crowd } from '../../src/patterns/crowd.ts';
import { takes } from '../../src/patterns/labels.ts';
import { patternText, RUNS } from './arbitraries.ts';
import { pattern } from './build.ts';

const astral = (point: number): string => String.fromCodePoint(point);
/** Large ones: many words of states, transitions that lead far, back, together and apart. */
const LARGE = [
  `**/*x${'?'.repeat(180)}[yw]`,
  `**/${'*[!a]'.repeat(60)}[yw]`,
  `*{${Array.from({ length: 40 }, (_, at) => `[!${astral(0x4e00 + at)}]?[!${astral(0x5e00 + at)}]`).join(',')}}*[yw]`,
  `*{${Array.from({ length: 18 }, (_, at) => `[!${astral(0x4e00 + at)}]${'?'.repeat(at)}`).join(',')}}*[yw]`,
  `${'**/?/'.repeat(38)}x`,
  '{**/a,*/**/b,**/*/[a-c]}/{x,y*,z?}',
];
const large = fc.constantFrom(...LARGE).map(pattern);
const written = patternText.map(pattern);
const point = fc.constantFrom(...'abcxyzAS./é😀一丁帀'.split(/(?:)/u).map((character) => character.codePointAt(0)!));
const text = fc.array(point, { maxLength: 60 });

/** Transition by transition. */
function after(automaton: Automaton, points: readonly number[]): number[] {
  let now = new Set(automaton.starts);
  for (const read of points) {
    const next = new Set<number>();
    for (const state of now) {
      for (let edge = automaton.first[state]!; edge < automaton.first[state + 1]!; edge += 1)
        if (takes(automaton, automaton.labels[edge]!, read)) next.add(automaton.targets[edge]!);
    }
    now = next;
  }
  return [...now].toSorted((a, b) => a - b);
}

describe.each([true, false])('an automaton in many states at once, case-sensitive: %s', (caseSensitive) => {
  it('is in the same ones as state by state', () => {
    fc.assert(
      fc.property(fc.oneof(large, written), text, (read, points) => {
        const automaton = read.automaton(caseSensitive);
        const crowd = new Crowd(automaton, automaton.starts);
        for (const one of points) crowd.read(one);
        expect(crowd.states).toEqual(after(automaton, points));
      }),
      RUNS,
    );
  });

  it('has an alphabet whose intervals are taken by the labels that take each of their code points', () => {
    const any = fc.oneof(point, fc.integer({ min: 0, max: 0x10ffff }));
    fc.assert(
      fc.property(fc.oneof(large, written), any, (read, one) => {
        const automaton = read.automaton(caseSensitive);
        const alphabet = new Alphabet(automaton);
        const interval = alphabet.intervalOf(one);
        const taken = alphabet.labels.filter((_, label) => alphabet.isTaken(interval, label));
        expect(taken).toEqual(alphabet.labels.filter((label) => takes(automaton, label, one)));
      }),
      RUNS,
    );
  });
});
