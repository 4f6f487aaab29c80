import { describe, expect, it } from 'vitest';
import { matches, overlap, parsePath } from '../../src/patterns/index.ts';
import { path, pattern } from './build.ts';
import { CONFLICTS, DISJOINT } from './tables.ts';

const EXACT = { caseSensitive: true };
const FOLDED = { caseSensitive: false };

const witness = (a: string, b: string) => overlap(pattern(a), pattern(b), EXACT);

describe('overlap of two patterns', () => {
  it.each(CONFLICTS)('%s conflicts with %s, and names a path that both match', (left, right) => {
    const a = pattern(left);
    const b = pattern(right);
    for (const mode of [EXACT, FOLDED]) {
      for (const shared of [overlap(a, b, mode), overlap(b, a, mode)]) {
        expect(shared).not.toBeNull();
        expect(parsePath(shared!)).toMatchObject({ ok: true, path: { text: shared } });
        expect(matches(a, path(shared!), mode) && matches(b, path(shared!), mode)).toBe(true);
      }
    }
  });

  it.each(DISJOINT)('%s and %s share no path', (l, r) => {
    expect(overlap(pattern(l), pattern(r), EXACT)).toBeNull();
    expect(overlap(pattern(r), pattern(l), EXACT)).toBeNull();
    if (l !== '[a-z]') expect(overlap(pattern(l), pattern(r), FOLDED)).toBeNull();
  });

  it('gives short witnesses that a person can read', () => {
    expect(witness('src/a*', 'src/*b')).toBe('src/ab');
    expect(witness('src/auth/', '**/*.test.ts')).toBe('src/auth/.test.ts');
    expect(witness('**', '**')).toBe('a');
    expect(witness('src/**/x.ts', 'src/x.ts')).toBe('src/x.ts');
  });
});

describe('overlap with a literal', () => {
  it('takes brackets in a path for what they are', () => {
    const page = path('app/[id]/page.tsx');
    expect(overlap(page, page, EXACT)).toBe('app/[id]/page.tsx');
    expect(overlap(page, pattern('app/*/page.tsx'), EXACT)).toBe('app/[id]/page.tsx');
    expect(overlap(page, pattern('app/[id]/page.tsx'), EXACT)).toBeNull();
    expect(overlap(pattern('app/\\[id\\]/*'), page, EXACT)).toBe('app/[id]/page.tsx');
  });

  it('tells the cases of a name apart only where the repo does', () => {
    expect(overlap(path('README.md'), path('readme.md'), EXACT)).toBeNull();
    expect(overlap(path('README.md'), path('readme.md'), FOLDED)).toBe('README.md');
    expect(overlap(path('README.md'), pattern('read*'), EXACT)).toBeNull();
    expect(overlap(path('README.md'), pattern('read*'), FOLDED)).toBe('README.md');
  });

  it('keeps the case in which a name was written', () => {
    expect(overlap(pattern('docs/README*'), pattern('DOCS/*.md'), FOLDED)).toBe('docs/README.md');
    expect(overlap(pattern('[R]EADME*'), pattern('*'), FOLDED)).toBe('README');
  });

  it('compares NFC spellings', () => {
    expect(overlap(path('cafe\u0301'), path('caf\u00e9'), EXACT)).toBe('caf\u00e9');
    expect(overlap(path('cafe\u0301'), pattern('caf?'), EXACT)).toBe('caf\u00e9');
  });
});

describe('many possibilities at once', () => {
  // Where more than a few are, those that accept nothing but what another one does are left out.
  it.each([
    ['{{1*c,?????b*d}*x,?*{2,y*3,z*4,w*5}}', '1yzwqbdx'],
    ['*{a,ab*c,x*1,y*2,z*3,w*4}', 'xyzwaba'],
    ['{**/a/**/b,x/**/{a/**/c,p/**/1,q/**/2,r/**/3}}', 'x/p/q/r/a/a/y/c'],
  ])('%s holds %s', (text, literal) => {
    expect(matches(pattern(text), path(literal), { caseSensitive: true })).toBe(true);
    expect(overlap(pattern(text), pattern(literal), { caseSensitive: true })).toBe(literal);
  });
});
