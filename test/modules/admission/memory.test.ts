import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { OrgFacts } from '../../../src/modules/admission/hot/one-call/facts.ts';
import { KnownLeases } from '../../../src/modules/admission/hot/one-call/known-leases.ts';
import type { Snapshot } from '../../../src/modules/admission/hot/snapshot.ts';
import { ClaimTable, type HeldLease, parseClaims } from '../../../src/modules/leases/index.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Some that are given and given back, each in a repo of its own; how many megabytes are in use then. */
function comeAndGo(leases: KnownLeases, from: number, count: number): number {
  const at = new Date(0);
  const wanted = { matchers: parseClaims(['a'], []), mode: 'exclusive' as const, ttlSeconds: 60, purpose: null };
  const holder = { loop: { id: 'l', name: 'l' }, run: { id: 'r' }, owner: { kind: 'member', id: 'm', name: 'm' } };
  const common = { repo: 'x', runId: 'r', loopId: 'l', fence: 1, runFinished: false, revoked: null, approval: null };
  for (let n = from; n < from + count; n += 1) {
    const lease: HeldLease = {
      id: `${n}`,
      repoId: `r${n}`,
      ...common,
      ...wanted,
      grantedAt: at,
      expiresAt: at,
      holder,
    };
    leases.apply({ orgId: 'o', granted: [lease], ended: [] });
    leases.apply({ orgId: 'o', granted: [], ended: [lease] });
  }
  collect();
  return process.memoryUsage().heapUsed / 1e6;
}

it('a repo in which nothing is held any more is forgotten', () => {
  const leases = new KnownLeases();
  comeAndGo(leases, 0, 100_000);
  const before = comeAndGo(leases, 100_000, 100_000);
  expect(comeAndGo(leases, 200_000, 100_000) - before).toBeLessThan(10);
});

it('what is remembered of an org is not all that a batch has read of it', async () => {
  const read = () => {
    const tables = new Map([['repo', new ClaimTable<HeldLease>({ caseSensitive: true })]]);
    const versions = { policyVersion: 1, haltEpoch: 1, keys: new Map(), runs: new Map(), repos: new Map() };
    const snapshot = { now: new Date(0), tables, ...versions } as unknown as Snapshot;
    return { facts: new OrgFacts(snapshot, 1, 0, undefined), table: new WeakRef(tables.get('repo')!) };
  };
  const { facts, table } = read();
  await nextTurn();
  collect();
  expect(table.deref()).toBeUndefined();
  expect(facts.shared.policyVersion).toBe(1);
});
