import { describe, expect, it } from 'vitest';
import { holds, meet, parseResource, readClaims } from '../../../src/modules/leases/claim.ts';
import { parsePattern, storedPath } from '../../../src/patterns/index.ts';

const NOTHING = { paths: [], patterns: [], resources: [] };
const EXACT = { caseSensitive: true };

describe('the claims of a row', () => {
  it('are read back as what they were', () => {
    const claims = readClaims({ paths: ['a/é'], patterns: ['b/*'], resources: ['port:1'] });
    expect(claims.map(({ kind, text }) => [kind, text])).toEqual([
      ['path', 'a/é'],
      ['pattern', 'b/*'],
      ['resource', 'port:1'],
    ]);
  });

  it('hold a path that would be refused by now: it is no reason to refuse everybody who asks near it', () => {
    const [held, other] = readClaims({ ...NOTHING, paths: ['K:/x'], patterns: ['**/x'] });
    expect(meet(held!, other!, EXACT)).toBe('K:/x');
  });

  it('hold a pattern that was accepted before its marks were counted', () => {
    const marks = (count: number) => '\u0327'.repeat(count);
    const text = `src/{a${marks(20)},b}${marks(11)}/*`;
    expect(parsePattern(text)).toMatchObject({ ok: false, problem: { code: 'pattern_too_many_marks' } });
    const [held, near, other] = readClaims({
      ...NOTHING,
      patterns: [text, `src/b${marks(11)}/x*`, 'src/c/*'],
    });
    for (const mode of [EXACT, { caseSensitive: false }]) {
      expect(meet(held!, near!, mode)).toBe(`src/b${marks(11)}/x`);
      expect(meet(held!, other!, mode)).toBeNull();
    }
    expect(held).toMatchObject({ text, isExact: true });
  });

  it('are not taken for absent where they are refused by now: a resource is what it was, and a pattern all below its beginning', () => {
    expect(parseResource('port')).toBeNull();
    const [port] = readClaims({ ...NOTHING, resources: ['port'] });
    expect(meet(port!, { kind: 'resource', text: 'port' }, EXACT)).toBe('port');
    const [held, within, beside, all] = readClaims({
      ...NOTHING,
      paths: [],
      patterns: ['src/lib/a**', 'src/lib/x/y*', 'src/[am]*', 'src/lib/**'],
    });
    for (const mode of [EXACT, { caseSensitive: false }]) {
      expect(meet(held!, within!, mode)).toBe('src/lib/x/y');
      expect(meet(held!, beside!, mode)).toBeNull();
      // Others are kept from it; but its own run is not sure to hold any of it.
      expect(holds(held!, within!, mode)).toBe(false);
      expect(holds(held!, storedPath('src/lib/a'), mode)).toBe(false);
      expect(holds(held!, held!, mode)).toBe(true);
      expect(holds(all!, held!, mode)).toBe(true);
    }
    expect(held).toMatchObject({ text: 'src/lib/a**', isExact: false });
  });

  it.each(['', '[', '{a', '/a**', 'a//b**', '../a**', '**a', 'C:/a**', 'x'.repeat(2000), `${'é/'.repeat(600)}*`])(
    'can be read whatever stands there: %j',
    (text) => {
      const [held, all] = readClaims({ ...NOTHING, patterns: [text, '**'] });
      expect(held).toMatchObject({ kind: 'pattern', text });
      expect(meet(held!, all!, EXACT)).not.toBeNull();
    },
  );
});
