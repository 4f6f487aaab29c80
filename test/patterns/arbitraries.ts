import fc from 'fast-check';
import { parsePath, parsePattern } from '../../src/patterns/index.ts';
import { UNIVERSE } from './oracle.ts';

/** Bounded by default; `PATTERN_RUNS=200000` for a long search. Fast-check prints the seed of what it finds. */
export const RUNS = { numRuns: Number(process.env.PATTERN_RUNS ?? 2000) };

const letter = fc.constantFrom('a', 'b', 'c', 'a', 'b', '.', 'A', 'é', '😀', 's', 'k');
const charClass = fc.constantFrom(
  '[a-c]',
  '[!a]',
  '[^b-c]',
  '[]a]',
  '[ab.]',
  '[!.]',
  '[A-B]',
  '[é-😀]',
  '[.-/]',
  '[k\\]]',
  '[!S]',
);
const piece = fc.oneof(
  { weight: 6, arbitrary: letter },
  { weight: 2, arbitrary: fc.constantFrom('*', '?') },
  { weight: 1, arbitrary: charClass },
  { weight: 1, arbitrary: letter.map((character) => `\\${character}`) },
);
const name = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join(''));
const segment = fc.oneof({ weight: 4, arbitrary: name }, { weight: 1, arbitrary: fc.constantFrom('**', '*') });
const segments = fc.array(segment, { minLength: 1, maxLength: 4 }).map((list) => list.join('/'));

const braces = fc.letrec<{ braced: string; text: string }>((tie) => ({
  braced: fc.array(tie('text'), { minLength: 1, maxLength: 3 }).map((options) => `{${options.join(',')}}`),
  text: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('', 'a', 'b', 'a/b', '*', '**', '**/', '/**', '.', '[ab]', 'a/', '/b', '{,}'),
    segments,
    fc.tuple(tie('text'), tie('braced'), tie('text')).map((parts) => parts.join('')),
  ),
}));

/** Alternatives that begin, and end, alike. */
const words = fc
  .array(fc.constantFrom('a', 'ab', 'b', 'bab', 'aab', '.a', '.b', 'a.a', 'b/a', '*', '*.a', '?b', '[ab]b', '*ab'), {
    minLength: 2,
    maxLength: 6,
  })
  .map((options) => `{${options.join(',')}}`);

const text = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom('', 'a', 'b', '**/', '?'), words, fc.constantFrom('', 'b', '.a', '/*'))
      .map((parts) => parts.join('')),
  },

  { weight: 5, arbitrary: segments },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom('', 'a/', '**/', 'a'), braces.braced, fc.constantFrom('', '/c', '.a', '/**', '/'))
      .map((parts) => parts.join('')),
  },
  { weight: 1, arbitrary: segments.map((list) => `${list}/`) },
);

const loopyPart = fc.constantFrom(
  '*',
  '*',
  '**/',
  '**/',
  'a',
  'b',
  '.',
  '/',
  '?',
  '[ab]',
  '[!a]',
  '*a',
  '*b',
  '{a,*b}',
  '{a,bb}*',
  '{,*b}',
  '{,b*}',
  '**/a/',
  'a*/',
  '*/',
  '/**',
);

/** Full of loops: what a comparison at the limits is made of, small. */
export const loopyText = fc
  .array(loopyPart, { minLength: 1, maxLength: 12 })
  .map((parts) => parts.join(''))
  .filter((candidate) => parsePattern(candidate).ok);

/** The same over and over, up to the limits: of more states than a word has bits. */
export const longText = fc
  .tuple(
    fc.array(loopyPart, { minLength: 1, maxLength: 6 }),
    fc.constantFrom(1, 4, 12, 20, 30, 60, 90),
    fc.constantFrom('', 'a', 'x', '*', 'b/a', '?b'),
  )
  .map(([parts, times, end]) => {
    const most = Math.max(1, Math.min(times, Math.floor(180 / (2 * parts.length))));
    return parts.join('').repeat(most) + end;
  })
  .filter((candidate) => parsePattern(candidate).ok);

/** Paths for them: long enough that many states are possible at once. */
export const loopyPath = fc
  .array(fc.constantFrom('a', 'b', 'ab', '.', 'a/b', '/', 'x'), { minLength: 1, maxLength: 24 })
  .map((parts) => parts.join(''))
  .filter((candidate) => parsePath(candidate).ok);

export const longPath = fc
  .tuple(loopyPath, fc.integer({ min: 1, max: 20 }), loopyPath)
  .map(([part, times, end]) => part.repeat(times) + end)
  .filter((candidate) => parsePath(candidate).ok);

/** Texts in the grammar, small enough to collide often. */
export const patternText = text.filter((candidate) => parsePattern(candidate).ok);
/** Without braces. */
export const plainPatternText = segments.filter((candidate) => parsePattern(candidate).ok);
/** Also those that are refused. */
export const anyPatternText = text;

const pathName = fc
  .array(fc.oneof(fc.constantFrom('a', 'b', 'c', 'A'), fc.constantFrom(...UNIVERSE)), { minLength: 1, maxLength: 3 })
  .map((characters) => characters.join(''))
  .filter((candidate) => candidate !== '.' && candidate !== '..');

/** Paths over the same characters. */
export const pathText = fc.array(pathName, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
