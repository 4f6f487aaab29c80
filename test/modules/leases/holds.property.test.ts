import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { holds } from '../../../src/modules/leases/claim.ts';
import { covers, parsePattern } from '../../../src/patterns/index.ts';

const MODES = [{ caseSensitive: true }, { caseSensitive: false }];
const read = (text: string) => {
  const result = parsePattern(text);
  if (!result.ok) throw new Error(result.problem.detail);
  return result.pattern;
};

describe('what a lease is sure to hold', () => {
  it.each([
    ['src/**', 'src/a/**'],
    ['src/', 'src/*.ts'],
    ['src/**', '{src/a,src/b}/x?'],
    ['SRC/É/', 'src/e\u0301/**'],
  ])('%s holds %s', (held, wanted) => {
    expect(holds(read(held), read(wanted), { caseSensitive: held === held.toLowerCase() })).toBe(true);
  });

  it.each([
    ['src/*', 'src/a/**'],
    ['src/**', 'src*/**'],
    ['src/**', 'SRC/a/**'],
    ['[s]rc/**', 'lib/**'],
    ['src/**/x', 'src/a/**'],
  ])('%s is not said to hold %s', (held, wanted) => {
    expect(holds(read(held), read(wanted), { caseSensitive: true })).toBe(false);
  });

  it('is covered by it', () => {
    const part = fc.constantFrom('a', 'B', '*', '?', '**', 'a*', '[ab]', '{a,b}', 'é', '\\*');
    const text = fc
      .tuple(fc.array(part, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '/', '/**'))
      .map(([parts, end]) => parts.join('/') + end)
      .filter((one) => parsePattern(one).ok);
    fc.assert(
      fc.property(text, text, fc.constantFrom(...MODES), (held, wanted, mode) => {
        const [outer, inner] = [read(held), read(wanted)];
        if (holds(outer, inner, mode)) expect(covers(outer, inner, mode)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});
