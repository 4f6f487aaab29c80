import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matches, overlap, parsePattern, workDone } from '../../src/patterns/index.ts';
import { LruCache } from '../../src/patterns/lru-cache.ts';
import { path, pattern } from './build.ts';

const EXACT = { caseSensitive: true };

const astral = (point: number): string => String.fromCodePoint(point);
const anyOf = (count: number, option: (at: number) => string): string =>
  `{${Array.from({ length: count }, (_, at) => option(at)).join(',')}}`;
const MARKS = '[\u0300-\u0362]'.repeat(2);

/** Pairs that people write: some that meet, some that do not. */
const WRITTEN: readonly (readonly [string, string])[] = [
  ['src/**/*.ts', 'src/app/*.{ts,tsx}'],
  ['packages/p1/{src,test}/**/*.{ts,tsx,js}', '**/*.spec.ts'],
  ['docs/**', 'src/**'],
  ['src/**', 'src/billing/**'],
  ['**/*.md', 'docs/**'],
  ['src/*/index.ts', 'src/api/*.ts'],
  ['packages/*/src/**', 'packages/core/**/*.test.ts'],
  ['**/package.json', 'packages/*/package.json'],
  ['*.lock', '**/*.json'],
  ['db/migrations/*.sql', 'db/**'],
];

/** Pairs within the limits that make the product large. */
const HOSTILE: readonly (readonly [string, string])[] = [
  ['*a'.repeat(96), '*b'.repeat(96)],
  ['*?'.repeat(96), '*?'.repeat(95)],
  ['?'.repeat(192), `${'*?'.repeat(95)}[0-9]`],
  [`${'?'.repeat(180)}x`, `*${'a?'.repeat(85)}y`],
  ['*[a-z]'.repeat(85), '*[!a]'.repeat(90)],
  [`${'a'.repeat(500)}*`, `${'*a'.repeat(95)}*b`],
  [`${'**/a/'.repeat(38)}x`, `${'**/b/'.repeat(38)}y`],
  [`${'**/?/'.repeat(38)}x`, `${'**/?/'.repeat(38)}y`],
  [`${'**/*/'.repeat(40)}x`, `${'**/*/'.repeat(40)}y`],
  // What an adversary climbed to: loops over several segments on both sides.
  [`**/a${'/*[ab]'.repeat(60)}`, `**/${'*[bc]/'.repeat(60)}x`],
  [`${'**/[.a]?/'.repeat(24)}x`, `${'[a-z]*/**/*/'.repeat(20)}y`],
  [`*/**${'/*/**'.repeat(45)}/y0`, `${'?/*[ab]/**/*[bc]/'.repeat(16)}x`],
  ['*[!a]'.repeat(90), '[.a]'.repeat(125)],
  [`*a{${Array.from({ length: 60 }, (_, at) => `*${at}`).join(',')}}`, '*b'.repeat(96)],
];

/** Sets of which no two share a character that reads well, nor one that composes with nothing among the first. */
const SETS: readonly (readonly [string, string])[] = [
  // Marks before them may compose.
  [
    MARKS + anyOf(50, (at) => `[! -\u{2f7ff}${astral(0x30000 + at)}]`),
    MARKS + anyOf(50, () => '[!\u{2fa1e}-\u{10ffff}]'),
  ],
  [
    anyOf(50, (at) => `[! -\u{2f7ff}${astral(0x30000 + at)}]`),
    anyOf(50, (at) => `[!\u{2fa1e}-${astral(0x10ff00 + at)}]`),
  ],
];

/** They meet in nothing, or in something else than what is found first: in `e` and a mark that composes with it. */
const MARKED: readonly (readonly [string, string])[] = [
  [`${'*?'.repeat(94)}e?`, `${'*?'.repeat(94)}?\u0301`],
  [`${'**/?/'.repeat(38)}e?`, `${'**/?/'.repeat(38)}?\u0301`],
  [`**/a${'/*[ab]'.repeat(58)}/e?`, `**/${'*[bc]/'.repeat(58)}?\u0301`],
  [`*/**${'/*/**'.repeat(45)}/e?`, `${'?/*[ab]/**/*[bc]/'.repeat(16)}?\u0301`],
];

/** Of 4 KB: of few characters, and of many different ones. */
const LONG: readonly (readonly [string, string])[] = [
  ['x', `${'x'.repeat(4080)}y0/z`],
  [
    'letters',
    Array.from({ length: 4080 }, (_, at) => 'abcdefghijklmnopqrstuvwxyz'[(7 * at + (at >> 3)) % 26]).join(''),
  ],
  ['ideographs', Array.from({ length: 1330 }, (_, at) => astral(0x4e00 + at)).join('')],
];

/** What is in many states at once after most of these, and asks much of each of their characters. */
const CROWDED: readonly string[] = [
  `**/${'*[!a]'.repeat(60)}[!b]`,
  `**/*${'?'.repeat(180)}[!b]`,
  `**/*${Array.from({ length: 60 }, (_, at) => `[!${astral(0x4e00 + 20 * at)}]`).join('')}[!b]`,
  `**/*${Array.from({ length: 60 }, (_, at) => `[${astral(0x4e00 + at)}-${astral(0x5400 + at)}]`).join('')}[!b]`,
  `*${anyOf(45, (at) => `[!${astral(0x4e00 + at)}]*[!${astral(0x5e00 + at)}]`)}[!b]`,
  `*${anyOf(40, (at) => `[!${astral(0x4e00 + at)}]?[!${astral(0x5e00 + at)}]`)}*[!b]`,
  `*${anyOf(35, (at) => `[!${astral(0x4e00 + at)}]?*?[!${astral(0x5e00 + at)}]`)}*[!b]`,
  `*${anyOf(18, (at) => `[!${astral(0x4e00 + at)}]${'?'.repeat(at)}`)}*[!b]`,
];

/** Steps of what people write, the middle one: see `workDone`. */
const TYPICAL = 120;
/** Steps of many states at once are quicker than those of a typical pair: by the clock this is at most some 150 of those. */
const PAIR_MAX = 300 * TYPICAL;
/** Where what they meet in is not NFC, too; by the clock some 140 typical pairs. */
const MARKED_MAX = 400 * TYPICAL;
/** Each set of one has to be compared with each of the other; by the clock some 150 typical pairs. */
const SETS_MAX = 300 * TYPICAL;
/** Of a path of 4 KB; by the clock some 130 typical pairs. */
const PATH_MAX = 500 * TYPICAL;

function stepsOf(act: () => unknown): number {
  const before = workDone();
  act();
  return workDone() - before;
}

describe('the cost of a pair', () => {
  it('is about a hundred steps for what people write', () => {
    const costs = WRITTEN.map(([left, right]) => {
      const [a, b] = [pattern(left), pattern(right)];
      return stepsOf(() => overlap(a, b, EXACT));
    }).toSorted((x, y) => x - y);
    expect(costs[costs.length >> 1]).toBeGreaterThanOrEqual(TYPICAL / 2);
    expect(costs[costs.length >> 1]).toBeLessThanOrEqual(TYPICAL);
    expect(costs.at(-1)).toBeLessThanOrEqual(5 * TYPICAL);
  });

  it.each([
    ...HOSTILE.map(([left, right]) => [left.slice(0, 16), right.slice(0, 16), PAIR_MAX, left, right] as const),
    ...MARKED.map(([left, right]) => [left.slice(0, 16), right.slice(0, 16), MARKED_MAX, left, right] as const),
    ...SETS.map(([left, right]) => [left.slice(0, 16), right.slice(0, 16), SETS_MAX, left, right] as const),
  ])('of %s… against %s… is at most %d steps', (_left, _right, most, left, right) => {
    const [a, b] = [pattern(left), pattern(right)];
    for (const mode of [EXACT, { caseSensitive: false }]) {
      // Compiles for the mode.
      overlap(a, b, mode);
      expect(stepsOf(() => overlap(a, b, mode))).toBeLessThanOrEqual(most);
    }
  });

  it('is counted by the transitions that are tried, not by the states that are entered', () => {
    const classes = (first: number, apart: number) =>
      pattern(`${anyOf(64, (at) => `[${astral(first + 2 * at)}${astral(first + 2 * at + apart)}]`)}0`);
    const disjoint = [classes(0x3400, 0x100), classes(0x4e00, 0x100)] as const;
    expect(stepsOf(() => overlap(...disjoint, EXACT))).toBeGreaterThanOrEqual(64 * 64);
    const interleaved = [classes(0x3400, 0x100), classes(0x3401, 0x100)] as const;
    expect(stepsOf(() => overlap(...interleaved, EXACT))).toBeGreaterThanOrEqual(3 * 64 * 64);
  });

  it('is a few steps for each character of a path, in however many states it leaves a pattern', () => {
    const [stars, long] = [pattern(`**/${'*x'.repeat(92)}y0`), path(`${'x'.repeat(4080)}y0/z`)];
    const steps = stepsOf(() => matches(stars, long, EXACT));
    expect(steps).toBeGreaterThanOrEqual(4080);
    expect(steps).toBeLessThanOrEqual(PATH_MAX);
    // Wherever there is an x, all that follows may have begun.
    const threads = stepsOf(() => matches(pattern(`**/*x${'?'.repeat(180)}y`), long, EXACT));
    expect(threads).toBeGreaterThanOrEqual(4080);
    expect(threads).toBeLessThanOrEqual(PATH_MAX);
    const [typical, short] = [pattern('src/**/*.ts'), path('src/app/page.ts')];
    expect(stepsOf(() => matches(typical, short, EXACT))).toBeLessThanOrEqual(5 * TYPICAL);
  });

  it.each(LONG)('is that for a long path of %s in whatever pattern, too', (_, text) => {
    const long = path(text);
    for (const crowded of CROWDED.map(pattern)) {
      for (const mode of [EXACT, { caseSensitive: false }]) {
        // Compiles for the mode.
        matches(crowded, long, mode);
        expect(stepsOf(() => matches(crowded, long, mode))).toBeLessThanOrEqual(PATH_MAX);
      }
    }
  });

  it('is next to nothing for a path that lacks what the pattern spells out', () => {
    const long = path(`${'x'.repeat(4080)}z`);
    for (const text of [`**/${'*x'.repeat(92)}y0`, `**/*x${'?'.repeat(180)}y`, '{a,b}/**/f/*']) {
      const lacked = pattern(text);
      expect(stepsOf(() => matches(lacked, long, EXACT))).toBeLessThanOrEqual(5 * TYPICAL);
    }
  });

  it('stays within bounds for whatever is mixed', () => {
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
        const [a, b] = [pattern(left), pattern(right)];
        expect(stepsOf(() => overlap(a, b, EXACT))).toBeLessThanOrEqual(PAIR_MAX);
      }),
      { numRuns: 200 },
    );
  });

  it('is counted for compiling, too: by what is written, and by what it expands to', () => {
    const long = 'x'.repeat(400);
    const expanded = `${'{a,b}'.repeat(6)}${'[x-z]'.repeat(80)}`;
    expect(stepsOf(() => parsePattern('src/**'))).toBeLessThanOrEqual(5 * TYPICAL);
    expect(stepsOf(() => parsePattern(long))).toBeGreaterThanOrEqual(10_000);
    expect(stepsOf(() => parsePattern(expanded))).toBeGreaterThanOrEqual(64 * 80 * 10);
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

it('what is searched for in a path is counted, however short that is', () => {
  const letters = Array.from({ length: 64 }, (_, at) => String.fromCodePoint(0x4e00 + at));
  const many = pattern(`${'*x'.repeat(60)}*{${letters.join(',')}}`);
  const short = path('x'.repeat(63));
  // Some 60 searches for each of 64 alternatives: a step is five to ten nanoseconds.
  expect(stepsOf(() => matches(many, short, EXACT))).toBeGreaterThan(60 * 64);
});
