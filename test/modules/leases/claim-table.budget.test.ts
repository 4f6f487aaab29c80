import { describe, expect, it } from 'vitest';
import type { Claim } from '../../../src/modules/leases/claim.ts';
import { ClaimTable } from '../../../src/modules/leases/claim-table.ts';
import { workDone } from '../../../src/patterns/index.ts';
import { path, pattern } from '../../patterns/build.ts';

const EXACT = { caseSensitive: true };
/** What one request may cost, and the last pair that it looked at: see `workDone`. */
const STEPS_MAX = 5_000_000;

const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));
const pairsFrom = (first: number): string =>
  many(64, (at) => `[${String.fromCodePoint(first + at * 3, first + at * 3 + 1)}]`).join(',');

/** Looks for each of `wanted` among what one lease holds, as one request does; what it cost, and whether it saw all. */
function look(held: readonly Claim[], wanted: readonly Claim[]): { steps: number; isWhole: boolean } {
  const table = new ClaimTable(EXACT);
  table.add({ id: 'one', matchers: held });
  const before = workDone();
  table.begin();
  const isWhole = wanted.every((claim) => table.look(claim).isWhole);
  return { steps: workDone() - before, isWhole };
}

describe('what one request may cost under the lock', () => {
  it.each([
    [
      'long paths against patterns that may begin anywhere',
      many(100, (at) => pattern(`**/*x${'?'.repeat(185 - at)}[yw]`)),
      many(10, (at) => path(`${'x'.repeat(4080)}z${at}`)),
    ],
    [
      'alternatives of classes that share nothing',
      many(500, (at) => pattern(`{${pairsFrom(0x3400)}}${at}`)),
      many(500, (at) => pattern(`{${pairsFrom(0x4e00)}}${at}`)),
    ],
    [
      'stars against stars',
      many(200, (at) => pattern(`**/${'*x'.repeat(92)}y${at}`)),
      many(200, (at) => pattern(`**/${'*x'.repeat(92)}z${at}`)),
    ],
  ])('is bounded for %s', (_, held, wanted) => {
    const { steps, isWhole } = look(held, wanted);
    expect(isWhole).toBe(false);
    expect(steps).toBeLessThanOrEqual(STEPS_MAX);
  });

  it('is enough for five hundred ordinary patterns against as many', () => {
    const held = many(500, (at) => pattern(`packages/p${at}/{src,test}/**/*.{ts,tsx}`));
    const wanted = many(500, (at) => pattern(`packages/q${at}/src/**/*.{ts,tsx}`));
    expect(look(held, wanted).isWhole).toBe(true);
  });
});
