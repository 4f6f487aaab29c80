import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { overlap, parsePattern } from '../../src/patterns/index.ts';
import { LruCache } from '../../src/patterns/lru-cache.ts';
import { lastSearchSize } from '../../src/patterns/product.ts';
import { pattern } from './build.ts';

const EXACT = { caseSensitive: true };

const astral = (point: number): string => String.fromCodePoint(point);
const anyOf = (count: number, option: (at: number) => string): string =>
  `{${Array.from({ length: count }, (_, at) => option(at)).join(',')}}`;
const MARKS = '[\u0300-\u0362]'.repeat(2);

/** Pairs within the limits that make the product large. */
const HOSTILE: readonly (readonly [string, string])[] = [
  ['*a'.repeat(96), '*b'.repeat(96)],
  ['*?'.repeat(96), '*?'.repeat(95)],
  ['?'.repeat(192), `${'*?'.repeat(95)}[0-9]`],
  ['*[a-z]'.repeat(85), '*[!a]'.repeat(90)],
  [`${'a'.repeat(500)}*`, `${'*a'.repeat(95)}*b`],
  [`${'**/a/'.repeat(38)}x`, `${'**/b/'.repeat(38)}y`],
  [`${'**/?/'.repeat(38)}x`, `${'**/?/'.repeat(38)}y`],
  [`${'**/*/'.repeat(40)}x`, `${'**/*/'.repeat(40)}y`],
  // No letter or digit is in them, and marks before them may compose.
  [
    MARKS + anyOf(50, (at) => `[! -\u{2f7ff}${astral(0x30000 + at)}]`),
    MARKS + anyOf(50, () => '[!\u{2fa1e}-\u{10ffff}]'),
  ],
  [
    anyOf(50, (at) => `[! -\u{2f7ff}${astral(0x30000 + at)}]`),
    anyOf(50, (at) => `[!\u{2fa1e}-${astral(0x10ff00 + at)}]`),
  ],
  [`*a{${Array.from({ length: 60 }, (_, at) => `*${at}`).join(',')}}`, '*b'.repeat(96)],
];

/** A pair costs microseconds per hundred states: this many stay near a millisecond. */
const STATES_MAX = 20_000;

describe('the cost of a pair', () => {
  it.each(HOSTILE.map(([left, right]) => [left.slice(0, 16), right.slice(0, 16), left, right]))(
    '%s… against %s… stays within bounds',
    (_left, _right, left, right) => {
      for (const mode of [EXACT, { caseSensitive: false }]) {
        overlap(pattern(left), pattern(right), mode);
        expect(lastSearchSize()).toBeLessThanOrEqual(STATES_MAX);
      }
    },
  );

  it('is counted by what it takes', () => {
    // Six times as long as a pair of which the same is said would be hundreds of times as slow.
    for (const text of [HOSTILE.at(-1)![0], MARKS + anyOf(50, (at) => `[! -\u{2f7ff}${astral(0x30000 + at)}]`)]) {
      parsePattern(text);
      expect(lastSearchSize()).toBeLessThanOrEqual(STATES_MAX);
    }
  });

  it('stays within bounds for whatever repeats', () => {
    const part = fc.constantFrom('*a', '*b', '*?', '?', '[a-c]', '**/', '*/', 'a/', '?/', '{a,*b}', '*[!a]');
    const text = fc
      .tuple(
        fc.array(part, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 96 }),
        fc.constantFrom('', 'x', '*', '?b'),
      )
      .map(([parts, times, end]) => parts.join('').repeat(times) + end)
      .filter((candidate) => parsePattern(candidate).ok);
    fc.assert(
      fc.property(text, text, (left, right) => {
        overlap(pattern(left), pattern(right), EXACT);
        expect(lastSearchSize()).toBeLessThanOrEqual(STATES_MAX);
      }),
      { numRuns: 200 },
    );
  });

  it('counts what alternatives share once', () => {
    const shared = pattern('src/{components,pages,hooks,utils}/**/*.{ts,tsx,js,jsx}').automaton(true);
    expect(shared.labels.length).toBeLessThan(50);
    expect(shared.prefix).toBe('src/');
  });
});

describe('LruCache', () => {
  it('forgets what was unused for longest', () => {
    const cache = new LruCache<string, number>(2);
    cache.set('a', 1);
    cache.set('b', 2);
    expect(cache.get('a')).toBe(1);
    cache.set('c', 3);
    expect(cache.get('b')).toBeUndefined();
    expect(cache.get('a')).toBe(1);
    expect(cache.size).toBe(2);
  });
});
