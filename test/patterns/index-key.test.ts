import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type IndexKey, indexKey, type Lookup, lookup, type Matcher, overlap } from '../../src/patterns/index.ts';
import { pathText, patternText, RUNS } from './arbitraries.ts';
import { path, pattern } from './build.ts';

/** The order of `COLLATE "C"`: bytes of UTF-8. */
const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** What the SQL over the index selects. */
function isCandidate(stored: IndexKey, wanted: Lookup): boolean {
  const { range } = wanted;
  const inRange =
    range !== null &&
    compare(stored.key, range.from) >= 0 &&
    (range.below === null || compare(stored.key, range.below) < 0);
  const listed = (stored.kind === 'literal' ? wanted.literals : wanted.patternPrefixes).includes(stored.key);
  const sameTail = stored.tail === null || wanted.tail === null || stored.tail === wanted.tail;
  return (inRange || listed) && sameTail;
}

const matcher = fc.oneof(pathText.map(path), patternText.map(pattern));

describe('the index', () => {
  it('offers every stored matcher that overlaps, in either case mode', () => {
    fc.assert(
      fc.property(matcher, matcher, fc.boolean(), (stored: Matcher, asked: Matcher, caseSensitive) => {
        const candidate = isCandidate(indexKey(stored), lookup(asked));
        if (overlap(stored, asked, { caseSensitive }) !== null) expect(candidate).toBe(true);
      }),
      RUNS,
    );
  });

  it.each([
    ['src/a.ts', 'src/b.ts'],
    ['src/a.ts', 'src/a.tsx'],
    ['src/**', 'lib/a.ts'],
    ['src/a/**', 'src/b/**'],
    ['**/*.md', 'src/a.ts'],
    ['**/*.md', 'src/Makefile'],
    ['**/Makefile', 'src/a.mk'],
    ['src/**/*.ts', '**/*.{md,md}'],
    ['😀/**', '\uffee/a'],
  ])('does not offer %s to %s', (stored, asked) => {
    const read = (text: string) => (/[*{]/.test(text) ? pattern(text) : path(text));
    expect(isCandidate(indexKey(read(stored)), lookup(read(asked)))).toBe(false);
    expect(isCandidate(indexKey(read(asked)), lookup(read(stored)))).toBe(false);
  });

  it('has keys that a person can predict', () => {
    expect(indexKey(path('Src/App.TS'))).toEqual({ kind: 'literal', key: 'src/app.ts', tail: '.ts' });
    expect(indexKey(pattern('Src/{a,b}/*.TS'))).toEqual({ kind: 'pattern', key: 'src/', tail: '.ts' });
    expect(indexKey(pattern('src/{ab,ac}*'))).toEqual({ kind: 'pattern', key: 'src/', tail: null });
    expect(indexKey(pattern('**'))).toEqual({ kind: 'pattern', key: '', tail: null });
    expect(indexKey(pattern('docs/readme'))).toEqual({ kind: 'pattern', key: 'docs/', tail: '' });
    expect(lookup(path('a/b/c.ts'))).toEqual({
      literals: ['a/b/c.ts'],
      patternPrefixes: ['', 'a/', 'a/b/'],
      range: null,
      tail: '.ts',
    });
    expect(lookup(pattern('a/b/*'))).toEqual({
      literals: [],
      patternPrefixes: ['', 'a/', 'a/b/'],
      range: { from: 'a/b/', below: 'a/b0' },
      tail: null,
    });
  });

  it('stays small for long and deep paths, and still finds them', () => {
    const deep = path(`${'a/'.repeat(2000)}b.ts`);
    const long = path(`${'Ⱥ'.repeat(1300)}/${'.'.repeat(3)}${'x'.repeat(100)}`);
    for (const literal of [deep, long]) {
      expect(Buffer.byteLength(indexKey(literal).key)).toBeLessThanOrEqual(1536);
      expect(lookup(literal).patternPrefixes.length).toBeLessThanOrEqual(33);
    }
    for (const text of [`${'a/'.repeat(250)}**`, `${'a/'.repeat(40)}*/**`, '**/b.ts', `${'A/'.repeat(250)}**`]) {
      expect(isCandidate(indexKey(pattern(text)), lookup(deep))).toBe(true);
      expect(isCandidate(indexKey(deep), lookup(pattern(text)))).toBe(true);
    }
  });
});
