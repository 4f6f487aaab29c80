import { expect, it } from 'vitest';
import { compilable, type HeldLeaseRow } from '../../../src/modules/leases/candidates.ts';
import { readClaims } from '../../../src/modules/leases/claim.ts';
import { surroundingsIn } from '../../../src/modules/leases/waiting/around.ts';
import { storedPattern, workDone } from '../../../src/patterns/index.ts';

const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));
/** Some three milliseconds each to compile. Of each test its own: what was compiled once is remembered. */
const costly = (name: string) => (at: number) => `{a,b}{c,d}{e,f}{g,h}{i,j}{k,l}/${'?'.repeat(150)}${name}${at}`;
const rowOf = (patterns: string[]) => ({ paths: [], patterns, resources: [] });

const stepsOf = (work: () => unknown): number => {
  const before = workDone();
  work();
  return workDone() - before;
};

it('what is only listed is not compiled', () => {
  const rows = many(100, (row) => rowOf(many(500, (at) => costly('listed')(500 * row + at))));
  expect(stepsOf(() => rows.map(readClaims))).toBe(0);
});

it('what is compiled while others wait is bounded, and what is remembered costs nothing', () => {
  const rows = many(100, (at) => rowOf([costly('new')(at)]));
  const some = compilable(rows);
  expect(some.ready.length).toBeGreaterThan(5);
  expect(some.ready.length).toBeLessThan(50);
  expect(some.uncompiled).toEqual(rows.slice(some.ready.length).flatMap(({ patterns }) => patterns));
  for (const { patterns } of rows) storedPattern(patterns[0]!).automaton(true);
  expect(compilable(rows)).toEqual({ ready: rows, uncompiled: [] });
});

it('eight hundred ordinary patterns may be compiled while others wait', () => {
  const rows = many(800, (at) => rowOf([`packages/p${at}/{src,test}/**/*.ts`]));
  expect(compilable(rows)).toEqual({ ready: rows, uncompiled: [] });
});

it('who holds nothing that has to be compiled is read, however much has to be of others', () => {
  const rows = [rowOf(many(40, costly('before'))), { ...rowOf([]), paths: ['src/a.ts'] }, rowOf(['**/*.ts'])];
  storedPattern('**/*.ts').automaton(true);
  expect(compilable(rows)).toEqual({ ready: rows.slice(1), uncompiled: rows[0]!.patterns });
});

it('more patterns than are compared under a lock are not read, and nobody is told to compile them', () => {
  const { ready, uncompiled } = compilable(many(5, () => rowOf(many(500, (at) => `known/${at}/*`))));
  expect(ready).toHaveLength(4);
  expect(uncompiled).toEqual([]);
});

it('who looks what is in the way of waiters is told that not all was read of what would take too long', () => {
  const row = (at: number) => ({
    ...rowOf([costly('held')(at)]),
    id: `${at}`,
    repo_id: 'repo',
    granted_at: new Date(),
    expires_at: new Date(),
    fence: `${at}`,
  });
  const held = many(100, row) as unknown as HeldLeaseRow[];
  const look = () => surroundingsIn('org', [[{ id: 'repo', case_sensitive: true }], held, []]);
  expect(stepsOf(() => expect(look().isWhole).toBe(false))).toBeLessThan(4_000_000);
  // What was compiled then need not be again, so that each look gets further.
  for (let looks = 0; looks < 20 && !look().isWhole; looks += 1);
  expect(look().isWhole).toBe(true);
});

it('of a waiter about whom nothing could be read it is not said that nothing is in its way', () => {
  const row = {
    ...rowOf(many(40, (at) => `packages/{api,web,core,cli,docs,infra,auth}/src/m${at}/**/*.{ts,tsx,js,jsx,css,json}`)),
    id: 'lease',
    repo_id: 'repo',
    granted_at: new Date(),
    expires_at: new Date(),
    fence: '1',
  };
  const { isWhole, lines } = surroundingsIn('org', [[{ id: 'repo', case_sensitive: true }], [row], []]);
  expect([isWhole, lines.get('repo')!.leases.size]).toEqual([false, 0]);
});
