import type { Idempotent } from '../../../platform/database/idempotency.ts';
import { claimKey, type HeldLease, textsOf, type Waiter } from '../../leases/index.ts';
import type { HotAnswer } from './operation.ts';

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
    epoch: waiter.epoch,
  };
}

/** What may change of a ticket while it waits. */
export function waiterChangeRow({ id, joined, purpose, ttlSeconds, heldUntil, epoch }: Waiter): Row {
  return { id, joined, purpose, ttl_seconds: ttlSeconds, held_until: heldUntil, epoch };
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

export interface KeptRow extends Row {
  readonly key_id: string;
  readonly key: string;
  readonly status: number;
  readonly response: string;
}

/** An answer as it is kept under an Idempotency-Key: the fence of the lease in it is that of the row. */
export function keptRow(
  { key, operation, fingerprint }: Idempotent,
  keyId: string,
  { status, body }: HotAnswer,
): KeptRow {
  const lease = body['lease'] as { id: string } | undefined;
  return {
    key_id: keyId,
    key,
    operation,
    fingerprint: fingerprint.toString('hex'),
    status,
    response: JSON.stringify(body),
    lease_id: lease?.id ?? null,
  };
}

/** One for each claim, but for the id of whose claim it is. */
export function keyRows({ repoId, matchers }: Pick<HeldLease, 'repoId' | 'matchers'>): Row[] {
  return matchers.map((matcher, ordinal) => ({ repo_id: repoId, ordinal, ...claimKey(matcher) }));
}
