import { describe, expect, it } from 'vitest';
import type { HeldLease, Waiter } from '../../../src/modules/leases/index.ts';
import { parseClaims } from '../../../src/modules/leases/request.ts';
import { Shadows } from '../../../src/modules/leases/waiting/stakes.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const MOMENT = { now: NOW, lockDelaySeconds: 60 };
const common = { repoId: 'repo', mode: 'exclusive', matchers: parseClaims(['x'], []) } as const;

const lease = (runId: string, rest: Partial<HeldLease> = {}) =>
  ({
    ...common,
    id: runId,
    runId,
    expiresAt: new Date(NOW.getTime() + 1),
    revoked: null,
    runFinished: false,
    ...rest,
  }) as HeldLease;
const waiter = (seq: number, rest: Partial<Waiter> = {}) =>
  ({
    ...common,
    id: `${seq}`,
    runId: `${seq}`,
    seq,
    status: 'waiting',
    runStatus: 'running',
    isHalted: false,
    heldUntil: null,
    ...rest,
  }) as Waiter;

const standing = (shadows: Shadows, leases: HeldLease[], waiters: Waiter[] = []) =>
  shadows
    .cast([{ leases, waiters }], MOMENT)
    .map(({ runId, matchers }) => [runId, ...matchers.map(({ text }) => text)]);

describe('what stands in others’ way', () => {
  it('of a line of a thousand is its foremost, whatever the order in which they are found', () => {
    const line = Array.from({ length: 1000 }, (_, at) => waiter(1 + ((at * 7) % 1000)));
    expect(standing(new Shadows(), [], line)).toEqual([['1', 'x']]);
  });

  it('is nobody who waits for what somebody holds who was looked behind before', () => {
    const shadows = new Shadows();
    expect(standing(shadows, [lease('a')])).toEqual([['a', 'x']]);
    expect(standing(shadows, [lease('b')], [waiter(1)])).toEqual([]);
  });

  it('is whoever stands before those that were looked behind', () => {
    const shadows = new Shadows();
    expect(standing(shadows, [], [waiter(5)])).toEqual([['5', 'x']]);
    expect(standing(shadows, [], [waiter(6), waiter(5), waiter(4)])).toEqual([['4', 'x']]);
    expect(standing(shadows, [lease('a')])).toEqual([['a', 'x']]);
  });

  it.each([
    ['in another repo', { repoId: 'other' }],
    ['in another mode', { mode: 'shared' }],
    ['that is a pattern of the same name', { matchers: parseClaims([], ['x']) }],
  ] as const)('is everything %s', (_what, rest) => {
    const shadows = new Shadows();
    standing(shadows, [lease('a')]);
    expect(standing(shadows, [], [waiter(1, rest)])).toEqual([['1', 'x']]);
  });

  it('is by what is new of it alone', () => {
    const shadows = new Shadows();
    standing(shadows, [lease('a')]);
    expect(standing(shadows, [lease('b', { matchers: parseClaims(['w', 'x', 'y'], []) })])).toEqual([['b', 'w', 'y']]);
  });

  it.each([
    ['a lease that has expired', [lease('a', { expiresAt: NOW })], []],
    ['a lease that was taken back', [lease('a', { revoked: 'because' })], []],
    ['a lease of a run that has finished', [lease('a', { runFinished: true })], []],
    ['whoever is silent', [], [waiter(1, { runStatus: 'stalled' })]],
    ['whoever is halted', [], [waiter(1, { isHalted: true })]],
    ['a place that nobody keeps', [], [waiter(1, { heldUntil: NOW })]],
  ])('is not %s, nor is anything behind it unseen by it', (_what, leases, waiters) => {
    const shadows = new Shadows();
    expect(standing(shadows, leases, waiters)).toEqual([]);
    expect(standing(shadows, [], [waiter(2)])).toEqual([['2', 'x']]);
  });
});
