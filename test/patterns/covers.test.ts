import { describe, expect, it } from 'vitest';
import { covers } from '../../src/patterns/index.ts';
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
