import { describe, expect, it } from 'vitest';
import { Random } from '../../faults/random.ts';
import { PATHS, PATTERNS, QUIET, quietWish, RESOURCES, randomWish, touched } from '../../faults/workload/ground.ts';
import { type Claim, meet, readClaims } from '../../src/modules/leases/claim.ts';

const none = { repo: 'acme/shop', paths: [], patterns: [], resources: [] };
const SINGLE = [
  ...[...PATHS, ...QUIET].map((path) => ({ ...none, paths: [path] })),
  ...Object.keys(PATTERNS).map((pattern) => ({ ...none, patterns: [pattern] })),
  ...RESOURCES.map((resource) => ({ ...none, resources: [resource] })),
];

function claimOf(wish: (typeof SINGLE)[number]): Claim {
  return readClaims(wish)[0]!;
}

describe('the ground that clients fight over', () => {
  it('has it in its table, for every two claims, whether they touch the same, as the server decides it', () => {
    for (const a of SINGLE) {
      for (const b of SINGLE) {
        const common = touched(a).some((place) => touched(b).includes(place));
        expect([a, b, common]).toEqual([a, b, meet(claimOf(a), claimOf(b), { caseSensitive: true }) !== null]);
      }
    }
  });

  it('keeps repos, paths and resources apart', () => {
    const elsewhere = { ...none, repo: 'acme/site', paths: ['src/a.ts'] };
    expect(touched({ ...none, paths: ['src/a.ts'] })).not.toEqual(touched(elsewhere));
    expect(touched({ ...none, paths: ['port:8080'] })).not.toEqual(touched({ ...none, resources: ['port:8080'] }));
  });

  it('gives wishes that the seed repeats, none of them empty', () => {
    const wishes = (seed: number) => {
      const random = new Random(seed);
      return Array.from({ length: 200 }, () => [randomWish(random), quietWish(random)]).flat();
    };
    expect(wishes(5)).toEqual(wishes(5));
    expect(wishes(5)).not.toEqual(wishes(6));
    for (const wish of wishes(7)) expect(touched(wish)).not.toEqual([]);
  });
});
