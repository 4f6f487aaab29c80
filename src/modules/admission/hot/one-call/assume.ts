import { ClaimTable, type HeldLease } from '../../../leases/index.ts';
import { holderOf } from '../decide-lease.ts';
import type { Snapshot } from '../snapshot.ts';
import type { OrgFacts } from './facts.ts';
import type { Subject } from './subject.ts';

/** As a batch would find it, were nothing in its way. */
export function assume(orgId: string, facts: OrgFacts, subjects: readonly Subject[], now: Date): Snapshot {
  const { policyVersion, haltEpoch, settings, policies, halts } = facts.shared;
  const keys = new Map<string, NonNullable<ReturnType<OrgFacts['keys']['get']>>>();
  const runs = new Map<string, NonNullable<ReturnType<OrgFacts['runs']['get']>>>();
  const repos = new Map<string, NonNullable<ReturnType<OrgFacts['repos']['get']>>>();
  for (const { keyId, runId, repoId } of subjects) {
    keys.set(keyId, facts.keys.get(keyId)!);
    runs.set(runId, facts.runs.get(runId)!);
    repos.set(repoId, facts.repos.get(repoId)!);
  }
  const tables = new Map([...repos].map(([id, repo]) => [id, new ClaimTable<HeldLease>(repo)]));
  const leases = new Map<string, HeldLease>();
  for (const { lease } of subjects) {
    if (lease === null) continue;
    // A copy: what is decided here may come to nothing. Whose it is, by names as they are now.
    const copy = leases.get(lease.id) ?? { ...lease, holder: holderOf(facts.runs.get(lease.runId)!) };
    leases.set(lease.id, copy);
    tables.get(lease.repoId)?.add(copy);
  }
  return {
    orgId,
    now,
    policyVersion,
    haltEpoch,
    settings,
    policies,
    halts,
    keys,
    runs,
    repos,
    // Nobody may be seen to wait for what is wanted, so what else the log says does not matter.
    seq: 0,
    someWait: false,
    waits: null,
    tickets: new Map(),
    tables,
    waiters: new Map([...repos].map(([id, repo]) => [id, new ClaimTable(repo)])),
    leases,
    endedLeases: new Map(),
    kept: new Map(),
    approvals: new Map(),
  };
}
