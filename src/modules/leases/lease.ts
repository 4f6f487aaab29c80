import type { Claim } from './claim.ts';
import type { LeaseMode } from './request.ts';

/** Who stands behind a lease, as a refusal names them. */
export interface Holder {
  readonly loop: { readonly id: string; readonly name: string };
  readonly run: { readonly id: string };
  readonly owner: { readonly kind: string; readonly id: string; readonly name: string };
}

/** What a spent approval covers: edits under the lease that it granted ride on it. */
export interface SpentApproval {
  readonly id: string;
  readonly action: string;
  readonly requirements: readonly {
    readonly policy: string;
    readonly ruleId: string;
    readonly team: string | null;
    readonly count: number;
  }[];
}

/** A lease that no row says has ended, or that was revoked, as the hot path and the lists see it. */
export interface HeldLease {
  readonly id: string;
  readonly repoId: string;
  readonly repo: string;
  readonly runId: string;
  readonly loopId: string;
  /** Null while its grant has not committed: the fence is the seq of the grant. */
  fence: number | null;
  readonly mode: LeaseMode;
  readonly matchers: readonly Claim[];
  readonly purpose: string | null;
  ttlSeconds: number;
  grantedAt: Date;
  expiresAt: Date;
  /** The run has finished: the lease ended with it, whatever its row says. */
  readonly runFinished: boolean;
  /** Why an admin took it back; null: nobody did. */
  revoked: string | null;
  readonly approval: SpentApproval | null;
  readonly holder: Holder;
}

/**
 * Where a lease stands at a moment of the database's clock. `closing`: expired, its paths stay closed to others until the
 * lock delay is over, because a paused holder may not know yet. `revoked`: taken back before its expiry; free to everybody
 * but its own run. `over`: nothing of it is left but its row.
 */
export type Standing = 'live' | 'closing' | 'revoked' | 'over';

export function standing(lease: HeldLease, now: Date, lockDelaySeconds: number): Standing {
  if (lease.runFinished) return 'over';
  if (lease.revoked !== null) return lease.expiresAt > now ? 'revoked' : 'over';
  const overdueMs = now.getTime() - lease.expiresAt.getTime();
  if (overdueMs < 0) return 'live';
  return overdueMs < lockDelaySeconds * 1000 ? 'closing' : 'over';
}

/** When a path under the lease is free again if its holder does nothing more. */
export function closedUntil(lease: HeldLease, lockDelaySeconds: number): Date {
  return new Date(lease.expiresAt.getTime() + lockDelaySeconds * 1000);
}
