import { describe, expect, it } from 'vitest';
import { meet, parseResource, readClaims } from '../../../src/modules/leases/claim.ts';

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

  it('are not taken for absent where a pattern or a resource is refused by now', () => {
    expect(parseResource('port')).toBeNull();
    expect(() => readClaims({ ...NOTHING, patterns: ['a**'] })).toThrow('a**');
    expect(() => readClaims({ ...NOTHING, resources: ['port'] })).toThrow('port');
  });
});
