import { expect, it } from 'vitest';
import { judge } from '../../../src/modules/admission/hot/decide-lease.ts';
import type { Snapshot } from '../../../src/modules/admission/hot/snapshot.ts';
import { ClaimTable, type HeldLease, TooBroad, type Waiter } from '../../../src/modules/leases/index.ts';
import { path } from '../../patterns/build.ts';

/** All of a snapshot that it looks at: nobody holds or wants anything. */
const free = {
  now: new Date(),
  settings: { lockDelaySeconds: 15 },
  tables: new Map([['repo', new ClaimTable<HeldLease>({ caseSensitive: true })]]),
  waiters: new Map([['repo', new ClaimTable<Waiter>({ caseSensitive: true })]]),
} as unknown as Snapshot;
const wanted = { matchers: [path('a')], mode: 'exclusive' as const, ttlSeconds: 900, purpose: null };
const asker = { runId: 'ann', place: Number.POSITIVE_INFINITY };

it('what a search has found only a part of is not granted, however free it looks', () => {
  const searched = { knownTo: 1, leaseIds: [], ticketIds: [] };
  expect(judge(free, 'repo', asker, wanted, { ...searched, isWhole: true, isSpent: false }).kind).toBe('grant');
  expect(() => judge(free, 'repo', asker, wanted, { ...searched, isWhole: false, isSpent: false })).toThrow(TooBroad);
});
