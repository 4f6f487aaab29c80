import { describe, expect, it } from 'vitest';
import { Coverage, type LeaseRecord } from '../../../src/modules/changes/coverage.ts';
import { type Matcher, storedPattern } from '../../../src/patterns/index.ts';
import { path, pattern } from '../../patterns/build.ts';
import { turnsDuring } from '../../support/turns.ts';

const EXACT = { caseSensitive: true };
const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));
const lease = (matchers: readonly Matcher[]) => ({ matchers }) as LeaseRecord;
/** Against a path of 4 KB, some thirty thousand steps: wherever there is an `x`, all that follows may have begun. */
const threads = (at: number) => pattern(`**/*x${'?'.repeat(185 - at)}[yw]`);
const long = (at: number) => path(`${'x'.repeat(4080)}z${at}`);

describe('which files leases cover', () => {
  it('is told for each, in the order of the files', async () => {
    const coverage = new Coverage([lease([pattern('src/**'), path('a.md')]), lease([pattern('**/*.ts')])], EXACT);
    const files = ['a.md', 'b.md', 'src/x/b.md', 'lib/c.ts', 'src'].map(path);
    expect(await coverage.ofEach(files)).toEqual([true, false, true, true, false]);
  });

  it('is found in turns with everything else, also for one file', async () => {
    const turns = await turnsDuring(() => new Coverage([lease(many(80, threads))], EXACT).ofEach([long(0)]));
    expect(turns).toBeGreaterThanOrEqual(7);
  });

  it('is found in turns with everything else, also where the patterns are not compiled yet', async () => {
    const fresh = (at: number) => storedPattern(`{a,b}{c,d}{e,f}{g,h}{i,j}{k,l}/${'?'.repeat(150)}cover${at}`);
    const coverage = (stepsMax?: number) => new Coverage([lease(many(100, fresh))], EXACT, stepsMax);
    await expect(coverage(1_000_000).ofEach([path('a')])).rejects.toMatchObject({ code: 'leases_too_intricate' });
    expect(await turnsDuring(() => coverage().ofEach([path('a')]))).toBeGreaterThanOrEqual(9);
  });

  it('is not guessed where it would take too long', async () => {
    const coverage = (stepsMax: number) => new Coverage([lease(many(10, threads))], EXACT, stepsMax);
    const files = many(10, long);
    expect(await coverage(20_000_000).ofEach(files)).not.toContain(true);
    await expect(coverage(3_000_000).ofEach(files)).rejects.toMatchObject({
      code: 'leases_too_intricate',
      status: 422,
    });
  });
});
