import { describe, expect, it } from 'vitest';
import { covers, type Pattern, workDone } from '../../src/patterns/index.ts';
import { path, pattern } from './build.ts';

const EXACT = { caseSensitive: true };
const FOLDED = { caseSensitive: false };

describe('covers', () => {
  it.each([
    ['{a,b}/**', '[ab]/x'],
    ['**', 'a'],
    ['**', '**/x'],
    ['src/**', 'src/a/*.ts'],
    ['src/**', 'src/a/'],
    ['src/', 'src/**'],
    ['src/**/*', 'src/{a,b}*/c'],
    ['**/**', '[ab]'],
    ['**/*', '**'],
    ['**/*.{ts,tsx}', 'src/**/*.ts'],
    ['{a,b}/**', 'a/x'],
    ['[a-z]*', '[c-f]?'],
    ['*', '[!a]'],
    ['{?,??*}', '*'],
    ['a/**', 'a/*/b/**'],
    ['**/b/**', 'a/**/b/c'],
    // Determinising the outer one goes beyond the bound; that it spells out the inner one is proof enough.
    ['{**/*[a-c]?/a*?a/**,*/**/*aba/*é\\a}', '*/**/*aba/*é\\a'],
    ['{a*?a/**,{b,c*?c}/d}', '{c*?c,b}/d'],
  ])('%s covers %s', (outer, inner) => {
    expect(covers(pattern(outer), pattern(inner), EXACT)).toBe(true);
    expect(covers(pattern(outer), pattern(inner), FOLDED)).toBe(true);
  });

  it.each([
    ['src/**', 'src'],
    ['src/*', 'src/**'],
    ['src/?', 'src/**'],
    ['src{/**,x}', 'src*/**'],
    ['*', '**'],
    ['src/a/**', 'src/**'],
    ['[c-f]', '[a-z]'],
    ['**/*.ts', '**/*'],
    ['a/**', '**/a/**'],
    ['{a,b}/**', '?/**'],
    // No label tells `.` from `1`, but only one of them is a path.
    ['[a-z]', '[.1]'],
  ])('%s does not cover %s', (outer, inner) => {
    expect(covers(pattern(outer), pattern(inner), EXACT)).toBe(false);
  });

  it('is exact where either side is a literal', () => {
    expect(covers(pattern('app/**'), path('app/[id]/page.tsx'), EXACT)).toBe(true);
    expect(covers(pattern('lib/**'), path('app/[id]/page.tsx'), EXACT)).toBe(false);
    expect(covers(path('a/b'), path('a/b'), EXACT)).toBe(true);
    expect(covers(path('a/b'), path('A/b'), EXACT)).toBe(false);
    expect(covers(path('a/b'), path('A/b'), FOLDED)).toBe(true);
    expect(covers(path('a/b'), pattern('a/b'), EXACT)).toBe(true);
    expect(covers(path('a/b'), pattern('{a/b,a/c}'), EXACT)).toBe(false);
    expect(covers(path('a/b'), pattern('{a/b,A/b}'), FOLDED)).toBe(true);
    expect(covers(path('a/b'), pattern('a/*'), EXACT)).toBe(false);
  });
});

describe('what it costs to tell whether one covers the other', () => {
  const stepsOf = (outer: Pattern, inner: Pattern): number => {
    const before = workDone();
    covers(outer, inner, EXACT);
    return workDone() - before;
  };
  /** Expands to 64 texts of some 80 tokens. */
  const many = (end: string) => `${'{a,b}'.repeat(6)}${'[x-z]'.repeat(80)}${end}`;

  it('is next to nothing where the texts are equal, or the beginnings or ends differ', () => {
    expect(stepsOf(pattern(many('')), pattern(many('')))).toBeLessThan(100);
    expect(stepsOf(pattern(`src/${many('')}`), pattern(`lib/${many('')}`))).toBeLessThan(100);
    expect(stepsOf(pattern(many('.md')), pattern(many('x.ts')))).toBeLessThan(100);
    expect(covers(pattern(many('')), pattern(many('')), FOLDED)).toBe(true);
  });

  it('is little for all below a directory', () => {
    for (const text of ['packages/**', 'packages/', 'packages/**/*', '**']) {
      expect(stepsOf(pattern(text), pattern('packages/a/{src,test}/**/*.{ts,tsx}'))).toBeLessThan(100);
    }
  });

  it.each([
    [many(''), many('y')],
    [`**/${'*[a-y]'.repeat(80)}`, `**/*[!a]${'*[a-z]'.repeat(60)}y`],
  ])('is bounded for %s and %s', (outer, inner) => {
    expect(stepsOf(pattern(outer), pattern(inner))).toBeLessThan(500_000);
  });

  it('is bounded where nothing but their spelling could tell: both expand to too much', () => {
    const stars = `${'{a,b}'.repeat(5)}${'*[a-y]'.repeat(30)}z`;
    const [outer, inner] = [pattern(`{a,b}${stars}`), pattern(`{b,a}${stars}`)];
    expect(covers(outer, inner, EXACT)).toBe(false);
    expect(stepsOf(outer, inner)).toBeLessThan(500_000);
  });
});
