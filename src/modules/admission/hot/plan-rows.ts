import { claimKey, type HeldLease, textsOf, type Waiter } from '../../leases/index.ts';

/** As a SQL function reads it by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>;

/** A lease with the index of its grant's event: that event's seq becomes its fence. */
interface Granted {
  readonly lease: HeldLease;
  readonly event: number;
}

export function grantedRows(granted: readonly Granted[]): { leases: Row[]; leaseKeys: Row[] } {
  const leases = granted.map(({ lease, event }) => ({
    ...wantedColumns(lease),
    event,
    approval_id: lease.approval?.id ?? null,
    granted_at: lease.grantedAt,
    expires_at: lease.expiresAt,
  }));
  const leaseKeys = granted.flatMap(({ lease }) => keyRows(lease).map((key) => ({ ...key, lease_id: lease.id })));
  return { leases, leaseKeys };
}

/** `event`: the index of its event, whose seq becomes its place. */
export function waiterRow(waiter: Waiter, event: number): Row {
  const { keyId, role, memberId, loopId } = waiter.principal;
  return {
    ...wantedColumns(waiter),
    event,
    kind: waiter.kind,
    principal: { keyId, role, memberId, loopId },
    queued_at: waiter.queuedAt,
    blocked_by: waiter.blockedBy,
    held_until: waiter.heldUntil,
  };
}

/** What both have: who wants what, and for how long. */
function wantedColumns(of: HeldLease | Waiter): Row {
  return {
    id: of.id,
    repo_id: of.repoId,
    run_id: of.runId,
    loop_id: of.loopId,
    mode: of.mode,
    paths: textsOf(of.matchers, 'path'),
    patterns: textsOf(of.matchers, 'pattern'),
    resources: textsOf(of.matchers, 'resource'),
    purpose: of.purpose,
    ttl_seconds: of.ttlSeconds,
  };
}

/** One for each claim, but for the id of whose claim it is. */
export function keyRows({ repoId, matchers }: Pick<HeldLease, 'repoId' | 'matchers'>): Row[] {
  return matchers.map((matcher, ordinal) => ({ repo_id: repoId, ordinal, ...claimKey(matcher) }));
}
