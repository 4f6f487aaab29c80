import { describe, expect, it } from 'vitest';
import {
  ClaimTable,
  decideLease,
  type HeldLease,
  LAST,
  parseClaims,
  TooBroad,
  type Waiter,
} from '../../../src/modules/leases/index.ts';
import { workDone } from '../../../src/patterns/index.ts';

const NOW = new Date('2026-11-22T12:00:00Z');
const EXACT = { caseSensitive: true };
/** What one request may cost, to find what overlaps and to tell what is held, and the last pairs: see `workDone`. */
const STEPS_MAX = 7_000_000;

const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));
/** Against `LONG`, some thirty thousand steps each: wherever there is an `x`, all that follows may have begun. */
const COSTLY = many(150, (at) => `a/**/*x${'?'.repeat(160 - at)}[yw]`);
const LONG = many(50, (at) => `a/${'x'.repeat(4000)}z${at}`);
/** Each of `COSTLY` matches it. */
const MATCHED = `a/${'x'.repeat(320)}y`;

function leaseOf(runId: string, paths: string[], patterns: string[], rest: Partial<HeldLease> = {}): HeldLease {
  return {
    id: 'lease',
    repoId: 'repo',
    repo: 'acme/shop',
    runId,
    loopId: 'loop',
    fence: 1,
    mode: 'exclusive',
    matchers: parseClaims(paths, patterns),
    purpose: null,
    ttlSeconds: 900,
    grantedAt: NOW,
    expiresAt: new Date(NOW.getTime() + 900_000),
    runFinished: false,
    revoked: null,
    approval: null,
    holder: { loop: { id: 'loop', name: 'loop' }, run: { id: runId }, owner: { kind: 'member', id: 'm', name: 'M' } },
    ...rest,
  };
}

/** What it came to, and what it cost, when the run `me` asks for this while `held` stands. */
function ask(held: HeldLease, paths: string[], patterns: string[], others: readonly HeldLease[] = []) {
  const leases = new ClaimTable<HeldLease>(EXACT);
  for (const lease of [held, ...others]) leases.add(lease);
  const wanted = { mode: 'exclusive', matchers: parseClaims(paths, patterns), ttlSeconds: 900, purpose: null } as const;
  const before = workDone();
  const outcome = (() => {
    try {
      const tables = { leases, waiters: new ClaimTable<Waiter>(EXACT) };
      return decideLease(tables, { runId: 'me', place: LAST }, wanted, { now: NOW, lockDelaySeconds: 60 }).kind;
    } catch (error) {
      if (error instanceof TooBroad) return 'too broad';
      throw error;
    }
  })();
  return { outcome, steps: workDone() - before };
}

const EXPIRED = { expiresAt: new Date(NOW.getTime() - 1000) };

describe('what a run that asks for what it holds may cost under the lock', () => {
  it('is little for paths below one of many patterns, which is what holds them', () => {
    expect(ask(leaseOf('me', [], [...COSTLY, '**']), LONG, [])).toMatchObject({ outcome: 'held' });
    expect(ask(leaseOf('me', [], [...COSTLY, '**']), LONG, []).steps).toBeLessThan(1_000_000);
  });

  // What overlaps is found at once; it is to tell whether all is held that takes so long.
  it.each<[string, HeldLease, string[], string[]]>([
    ['all of an expired lease again', leaseOf('me', ['b', ...LONG], [], EXPIRED), [], ['b*', ...COSTLY, '**']],
    [
      'all of a shared lease as an exclusive one',
      leaseOf('me', [MATCHED, ...LONG], [], { mode: 'shared' }),
      [],
      [...COSTLY, '**'],
    ],
  ])('is bounded for %s', (_, held, paths, patterns) => {
    const { outcome, steps } = ask(held, paths, patterns);
    expect(steps).toBeLessThan(STEPS_MAX);
    expect(steps).toBeGreaterThan(1_000_000);
    expect(outcome).toBe('too broad');
  });

  it('keeps nobody from being told what was found in the way before', () => {
    const expired = leaseOf('me', ['b', ...LONG], [], EXPIRED);
    const other = leaseOf('other', ['first'], [], { id: 'other' });
    const { outcome, steps } = ask(expired, ['first'], ['b*', ...COSTLY, '**'], [other]);
    expect(outcome).toBe('conflict');
    expect(steps).toBeLessThan(STEPS_MAX);
    expect(steps).toBeGreaterThan(1_000_000);
  });

  it('keeps nobody from being told that some of it was revoked', () => {
    const expired = leaseOf('me', ['b', ...LONG], [], EXPIRED);
    const revoked = leaseOf('me', ['first'], [], { id: 'revoked', revoked: 'not you' });
    expect(ask(expired, ['first'], ['b*', ...COSTLY, '**'], [revoked]).outcome).toBe('revoked');
  });

  it('suffices for five hundred paths under five hundred patterns, also again after the expiry, and to upgrade', () => {
    const paths = many(500, (at) => `packages/p${at}/src/deep/file${at}.ts`);
    const patterns = many(499, (at) => `packages/p${at}/{src,test}/**/*.{ts,tsx}`);
    expect(ask(leaseOf('me', [], [...patterns, '**']), paths, []).outcome).toBe('held');
    expect(ask(leaseOf('me', paths, [], EXPIRED), [], [...patterns, '**']).outcome).toBe('grant');
    expect(ask(leaseOf('me', paths, [], { mode: 'shared' }), [], [...patterns, '**']).outcome).toBe('grant');
  });
});
