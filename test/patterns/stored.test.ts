import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parsePattern, stepsToCompile, storedPattern, workDone } from '../../src/patterns/index.ts';
import { longText, loopyText, patternText, RUNS } from './arbitraries.ts';

const stepsOf = (work: () => unknown): number => {
  const before = workDone();
  work();
  return workDone() - before;
};

it('a stored pattern is compiled when it is asked about, once', () => {
  const text = 'src/{stored,once}/**/*.ts';
  expect(stepsOf(() => storedPattern(text))).toBe(0);
  expect(storedPattern(text).isCompiled).toBe(false);
  expect(stepsOf(() => storedPattern(text).index)).toBeGreaterThan(1000);
  expect(storedPattern(text).isCompiled).toBe(true);
  expect(stepsOf(() => storedPattern(text).automaton(true))).toBe(0);
});

it('what it may cost to compile is told beforehand, and is nothing afterwards', () => {
  fc.assert(
    fc.property(fc.oneof(patternText, loopyText, longText), fc.nat(), (text, salt) => {
      const read = parsePattern(`${text}/${salt}`);
      // As it is kept: in NFC. One that is remembered from before costs nothing.
      fc.pre(read.ok && stepsToCompile(read.pattern.text) > 0);
      if (!read.ok) return;
      const [kept, told] = [read.pattern.text, stepsToCompile(read.pattern.text)];
      expect(stepsOf(() => storedPattern(kept).index)).toBeLessThanOrEqual(told);
      expect(stepsToCompile(kept)).toBe(0);
    }),
    RUNS,
  );
});

it.each([
  ['classes', '[a-z]'.repeat(90)],
  ['classes of few', '[a-bd-e]'.repeat(60)],
  ['classes of nothing', '[!ac]'.repeat(90)],
  ['alternatives', `${'{a,b}'.repeat(6)}${'?'.repeat(150)}`],
  ['classes in alternatives', `${'{[a-c],[x-z]}'.repeat(6)}${'[a-z]'.repeat(60)}`],
  ['one character', 'a*'],
])('also of %s', (_, text) => {
  const told = stepsToCompile(text);
  expect(parsePattern(text).ok).toBe(true);
  expect(stepsOf(() => storedPattern(text).index)).toBeLessThanOrEqual(told);
});
