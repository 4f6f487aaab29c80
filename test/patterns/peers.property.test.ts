import fc from 'fast-check';
import { minimatch } from 'minimatch';
import picomatch from 'picomatch';
import { describe, expect, it } from 'vitest';
import { matches, parsePattern } from '../../src/patterns/index.ts';
import { pathText, RUNS } from './arbitraries.ts';
import { path, pattern } from './build.ts';

/** Where the grammars agree: no `**` at the end (theirs also matches none), no empty alternative, no odd class. */
const piece = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('a', 'b', 'c', 'A', '-', '0') },
  { weight: 2, arbitrary: fc.constantFrom('*', '?') },
  { weight: 1, arbitrary: fc.constantFrom('[a-c]', '[!a]', '[^b]', '{a,b}', '{a,b/c}', '{*,b}c', '{a,b{0,-}}', '.a') },
);
const name = fc
  .array(piece, { minLength: 1, maxLength: 4 })
  .map((pieces) => pieces.join('').replaceAll(/\*+/g, '*').replaceAll('*{*', '{*'));
const patternText = fc
  .tuple(fc.array(fc.oneof({ weight: 3, arbitrary: name }, fc.constant('**')), { maxLength: 3 }), name)
  .map(([directories, last]) => [...directories, last].join('/'))
  // Too many expansions, for one.
  .filter((text) => parsePattern(text).ok);

/** Theirs read a surrogate pair as two characters, which is not what is compared here. */
const plainPath = pathText.filter((text) => !text.includes('😀'));

describe('matching agrees with its peers where the grammars do', () => {
  it('picomatch, which knows only ^ to negate', () => {
    fc.assert(
      fc.property(patternText, plainPath, (text, literal) => {
        const theirs = picomatch.isMatch(literal, text.replaceAll('[!', '[^'), {
          dot: true,
          nonegate: true,
          noextglob: true,
          strictSlashes: true,
        });
        expect(matches(pattern(text), path(literal), { caseSensitive: true })).toBe(theirs);
      }),
      RUNS,
    );
  });

  it('minimatch', () => {
    fc.assert(
      fc.property(patternText, plainPath, (text, literal) => {
        const theirs = minimatch(literal, text, { dot: true, nonegate: true, nocomment: true, noext: true });
        expect(matches(pattern(text), path(literal), { caseSensitive: true })).toBe(theirs);
      }),
      RUNS,
    );
  });
});
