import { describe, expect, it } from 'vitest';
import { Comparison } from '../../../src/modules/leases/broad-search.ts';
import { path, pattern } from '../../patterns/build.ts';
import { turnsDuring } from '../../support/turns.ts';

const EXACT = { caseSensitive: true };
const NOTHING = { paths: [], patterns: [], resources: [] };
const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));
/** Some thirty thousand steps a pair: wherever there is an `x`, all that follows may have begun. */
const THREADS = `**/*x${'?'.repeat(180)}[yw]`;
const long = (at: number) => `${'x'.repeat(4080)}z${at}`;

describe('what a search without the lock compares', () => {
  it('finds whoever claims anything that is wanted', async () => {
    const comparison = new Comparison([path('src/a.ts'), pattern('docs/**')], EXACT);
    expect(await comparison.meets({ ...NOTHING, patterns: ['lib/*', 'src/*.ts'] })).toBe(true);
    expect(await comparison.meets({ ...NOTHING, paths: ['docs/a', 'x'] })).toBe(true);
    expect(await comparison.meets({ ...NOTHING, paths: ['src/b.ts'], resources: ['port:1'] })).toBe(false);
    expect(comparison.isSpent).toBe(false);
  });

  it('lets others have a turn by what it has cost, not by how many pairs there were', async () => {
    const turns = await turnsDuring(() =>
      new Comparison(
        many(80, (at) => path(long(at))),
        EXACT,
      ).meets({ ...NOTHING, patterns: [THREADS] }),
    );
    expect(turns).toBeGreaterThanOrEqual(7);
  });

  it('ends once it has cost too much', async () => {
    const comparison = new Comparison(
      many(10, (at) => path(long(at))),
      EXACT,
      8_000_000,
    );
    const row = { ...NOTHING, patterns: [THREADS] };
    let rows = 0;
    for (; rows < 100 && !comparison.isSpent; rows += 1) expect(await comparison.meets(row)).toBe(false);
    expect(comparison.isSpent).toBe(true);
    expect(rows).toBeGreaterThan(5);
    expect(await comparison.meets({ ...NOTHING, paths: [long(0)] })).toBe(false);
  });
});
