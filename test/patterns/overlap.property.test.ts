import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Automaton } from '../../src/patterns/automaton.ts';
import { hasPoint } from '../../src/patterns/char-set.ts';
import { covers, matches, overlap, parsePath, parsePattern } from '../../src/patterns/index.ts';
import { findWitness } from '../../src/patterns/product.ts';
import { statesAfter } from '../../src/patterns/simulation.ts';
import {
  anyPatternText,
  longPath,
  longText,
  loopyPath,
  loopyText,
  pathText,
  patternText,
  plainPatternText,
  RUNS,
} from './arbitraries.ts';
import { path, pattern } from './build.ts';
import { oracleMatches, oracleOverlap } from './oracle.ts';

describe('against an independent oracle', () => {
  it('two patterns overlap exactly when the oracle says so, either way round, with a witness both match', () => {
    fc.assert(
      fc.property(patternText, patternText, fc.boolean(), (left, right, caseSensitive) => {
        const mode = { caseSensitive };
        const a = pattern(left);
        const b = pattern(right);
        const witness = overlap(a, b, mode);
        expect(witness !== null).toBe(oracleOverlap(left, right, caseSensitive));
        expect(overlap(b, a, mode) !== null).toBe(witness !== null);
        if (witness === null) return;
        expect(parsePath(witness)).toMatchObject({ ok: true, path: { text: witness } });
        expect(matches(a, path(witness), mode)).toBe(true);
        expect(matches(b, path(witness), mode)).toBe(true);
        expect(oracleMatches(left, witness, caseSensitive) && oracleMatches(right, witness, caseSensitive)).toBe(true);
      }),
      RUNS,
    );
  });

  it('two patterns full of loops overlap exactly when the oracle says so, worked out from the ends at once, after a while, or not', () => {
    fc.assert(
      fc.property(loopyText, fc.oneof(loopyText, patternText), fc.boolean(), (left, right, caseSensitive) => {
        const mode = { caseSensitive };
        const [a, b] = [pattern(left), pattern(right)];
        const [first, second] = [a.automaton(caseSensitive), b.automaton(caseSensitive)];
        const expected = oracleOverlap(left, right, caseSensitive);
        for (const statesMax of [0, 3, Number.POSITIVE_INFINITY]) {
          const witness = findWitness(first, second, caseSensitive, statesMax);
          expect(witness !== null).toBe(expected);
          expect(findWitness(second, first, caseSensitive, statesMax) !== null).toBe(expected);
          if (witness === null) continue;
          expect(matches(a, path(witness), mode) && matches(b, path(witness), mode)).toBe(true);
          expect([left, right].every((text) => oracleMatches(text, witness, caseSensitive))).toBe(true);
        }
      }),
      RUNS,
    );
  });

  it('two long patterns overlap exactly when their whole product says so, worked out from the ends', () => {
    fc.assert(
      fc.property(longText, longText, fc.boolean(), (left, right, caseSensitive) => {
        const [a, b] = [pattern(left), pattern(right)];
        const [first, second] = [a.automaton(caseSensitive), b.automaton(caseSensitive)];
        const expected = findWitness(first, second, caseSensitive, Number.POSITIVE_INFINITY) !== null;
        const witness = findWitness(first, second, caseSensitive, 0);
        expect(witness !== null).toBe(expected);
        if (witness === null) return;
        const mode = { caseSensitive };
        expect(matches(a, path(witness), mode) && matches(b, path(witness), mode)).toBe(true);
      }),
      { ...RUNS, numRuns: Math.ceil(RUNS.numRuns / 4) },
    );
  });

  it('a path matches exactly when a regular expression says so', () => {
    fc.assert(
      fc.property(patternText, pathText, fc.boolean(), (text, literal, caseSensitive) => {
        const mode = { caseSensitive };
        const expected = oracleMatches(text, literal, caseSensitive);
        expect(matches(pattern(text), path(literal), mode)).toBe(expected);
        expect(overlap(path(literal), pattern(text), mode)).toBe(expected ? literal : null);
      }),
      RUNS,
    );
  });

  it('a path matches a pattern full of loops exactly when a regular expression says so', () => {
    fc.assert(
      fc.property(loopyText, loopyPath, (text, literal) => {
        expect(matches(pattern(text), path(literal), { caseSensitive: true })).toBe(oracleMatches(text, literal, true));
      }),
      RUNS,
    );
  });

  it('an automaton in many states at once goes on as each of them does', () => {
    fc.assert(
      fc.property(longText, longPath, (text, literal) => {
        const automaton = pattern(text).automaton(true);
        const read = literal.slice(0, automaton.prefix.length);
        if (read !== automaton.prefix) return;
        const states = statesAfter(automaton, literal, read.length);
        expect(states.toSorted((a, b) => a - b)).toEqual(oneByOne(automaton, literal.slice(read.length)));
      }),
      RUNS,
    );
  });

  it('a pattern refused for matching nothing meets nothing', () => {
    fc.assert(
      fc.property(anyPatternText, (text) => {
        const result = parsePattern(text);
        const nothing = !result.ok && result.problem.code === 'pattern_matches_nothing';
        if (nothing || result.ok) expect(oracleOverlap(text, '**', true)).toBe(result.ok);
      }),
      RUNS,
    );
  });
});

/** As plainly as it can be said. */
function oneByOne({ starts, first, labels, targets, sets }: Automaton, text: string): number[] {
  let states = new Set(starts);
  for (const character of text) {
    const point = character.codePointAt(0)!;
    const takes = (label: number) => (label < 0 ? hasPoint(sets[~label]!, point) : label === point);
    const edges = [...states].flatMap((state) =>
      Array.from({ length: first[state + 1]! - first[state]! }, (_, at) => first[state]! + at),
    );
    states = new Set(edges.filter((edge) => takes(labels[edge]!)).map((edge) => targets[edge]!));
  }
  return [...states].toSorted((a, b) => a - b);
}

describe('covers', () => {
  it('is never true of a pattern that holds a path outside', () => {
    fc.assert(
      fc.property(patternText, patternText, patternText, fc.boolean(), (outer, inner, probe, caseSensitive) => {
        const mode = { caseSensitive };
        if (!covers(pattern(outer), pattern(inner), mode)) return;
        for (const text of [probe, '**', '?', '*a', '**/*.a', '**/[!a]*']) {
          const sample = overlap(pattern(inner), pattern(text), mode);
          if (sample !== null) expect(matches(pattern(outer), path(sample), mode)).toBe(true);
        }
      }),
      RUNS,
    );
  });

  it('sees that `**` covers everything, and a pattern what it consists of', () => {
    fc.assert(
      fc.property(plainPatternText, plainPatternText, fc.boolean(), (left, right, caseSensitive) => {
        const mode = { caseSensitive };
        expect(covers(pattern('**'), pattern(left), mode)).toBe(true);
        const either = pattern(`{${left},${right}}`);
        expect(covers(either, pattern(left), mode)).toBe(true);
        expect(covers(either, pattern(right), mode)).toBe(true);
      }),
      RUNS,
    );
  });
});
