import type { Role } from '../../../platform/principal.ts';
import { isLoopHalted } from '../../loops/index.ts';
import { type ClaimTexts, readClaims } from '../claim.ts';
import type { LeaseMode } from '../request.ts';
import type { TicketStatus, Waiter, WaiterKind } from './waiter.ts';

/** The columns of a waiter with those who stand behind it. Joins go by primary key, each inside the org. */
export const HELD_WAITER = `
  SELECT w.id, w.seq, w.repo_id, p.name AS repo, w.run_id, w.loop_id, w.kind, w.mode, w.paths, w.patterns, w.resources, w.purpose,
    w.ttl_seconds, w.principal, w.queued_at, w.blocked_by, w.held_until, w.joined, w.epoch, w.status, w.reason, w.settled_at, w.lease_id,
    r.status AS run_status, o.name AS loop_name, o.owner_kind, o.owner_id, coalesce(m.name, k.name, '') AS owner_name,
    ${isLoopHalted('o')} AS halted
  FROM lease_waiter w
  JOIN repo p ON p.org_id = w.org_id AND p.id = w.repo_id
  JOIN run r ON r.org_id = w.org_id AND r.id = w.run_id
  JOIN loop o ON o.org_id = w.org_id AND o.id = w.loop_id
  LEFT JOIN member m ON m.org_id = w.org_id AND m.id = o.owner_id
  LEFT JOIN api_key k ON k.org_id = w.org_id AND k.id = o.owner_id`;

/** A row of `HELD_WAITER`, as `pg` reads it. */
export interface WaiterRow extends ClaimTexts {
  id: string;
  seq: string;
  repo_id: string;
  repo: string;
  run_id: string;
  loop_id: string;
  kind: WaiterKind;
  mode: LeaseMode;
  purpose: string | null;
  ttl_seconds: number;
  principal: { keyId: string | null; role: Role; memberId: string | null; loopId: string | null };
  queued_at: Date;
  blocked_by: string | null;
  held_until: Date | null;
  joined: boolean;
  epoch: number | null;
  status: TicketStatus;
  reason: string | null;
  settled_at: Date | null;
  lease_id: string | null;
  run_status: string;
  halted: boolean;
  loop_name: string;
  owner_kind: string;
  owner_id: string;
  owner_name: string;
}

export function toWaiter(orgId: string, row: WaiterRow): Waiter {
  return {
    id: row.id,
    seq: Number(row.seq),
    kind: row.kind,
    repoId: row.repo_id,
    repo: row.repo,
    runId: row.run_id,
    loopId: row.loop_id,
    mode: row.mode,
    matchers: readClaims(row),
    purpose: row.purpose,
    ttlSeconds: row.ttl_seconds,
    principal: { orgId, ...row.principal },
    queuedAt: row.queued_at,
    blockedBy: row.blocked_by,
    heldUntil: row.held_until,
    joined: row.joined,
    epoch: row.epoch,
    runStatus: row.run_status,
    isHalted: row.halted,
    status: row.status,
    reason: row.reason,
    settledAt: row.settled_at,
    leaseId: row.lease_id,
    holder: {
      loop: { id: row.loop_id, name: row.loop_name },
      run: { id: row.run_id },
      owner: { kind: row.owner_kind, id: row.owner_id, name: row.owner_name },
    },
  };
}
