import type { Principal } from '../../../platform/principal.ts';
import type { Claim } from '../claim.ts';
import type { Holder } from '../lease.ts';
import type { LeaseMode } from '../request.ts';

export const TICKET_STATUSES = ['waiting', 'granted', 'cancelled', 'ended'] as const;
export type TicketStatus = (typeof TICKET_STATUSES)[number];

/** `lease`: granted when its turn comes. `admission`: the place of a request that is decided when its turn comes. */
export type WaiterKind = 'lease' | 'admission';

/** How long a place is kept for an admission that nobody is heard of any more. */
export const HELD_SECONDS = 45;

/** A request that waits for its lease; its id is the ticket. */
export interface Waiter {
  readonly id: string;
  /** Its place: of overlapping ones the lower goes first. Null while its row has not committed: behind all that have. */
  readonly seq: number | null;
  readonly kind: WaiterKind;
  readonly repoId: string;
  readonly repo: string;
  readonly runId: string;
  readonly loopId: string;
  readonly mode: LeaseMode;
  readonly matchers: readonly Claim[];
  purpose: string | null;
  ttlSeconds: number;
  /** The epoch of its run that asks; null where one that asks has not said so. Once there is a later one, it gets nothing. */
  epoch: number | null;
  readonly principal: Principal;
  readonly queuedAt: Date;
  /** The lease or waiter that it was last seen to wait for; null: its way was free. */
  blockedBy: string | null;
  heldUntil: Date | null;
  /** The same was asked for again, and answered with this ticket. */
  joined: boolean;
  readonly runStatus: string;
  /** Whether its loop, or a team of it, has been halted. */
  readonly isHalted: boolean;
  readonly status: TicketStatus;
  readonly reason: string | null;
  readonly settledAt: Date | null;
  readonly leaseId: string | null;
  readonly holder: Holder;
}

/**
 * Whether others stand behind it. A silent run may never come back, a halted one gets nothing for now, and the place of an
 * admission whose request is gone nobody will take: all keep their row, and are passed over meanwhile.
 */
export function counts(waiter: Waiter, now: Date): boolean {
  return waiter.runStatus === 'running' && !waiter.isHalted && mayCount(waiter, now);
}

/** Whether it counts, or will once its silent run is heard of again, or its halt is lifted. */
export function mayCount({ status, runStatus, heldUntil }: Waiter, now: Date): boolean {
  return status === 'waiting' && runStatus !== 'finished' && (heldUntil === null || heldUntil > now);
}

/** Behind everybody: where a request stands that has no ticket. */
export const LAST = Number.POSITIVE_INFINITY;

export function placeOf(waiter: Waiter): number {
  return waiter.seq ?? LAST;
}

/** How long somebody was in line; not at all where the database's clock was set back meanwhile. */
export function secondsInLine(queuedAt: Date, until: Date): number {
  return Math.max(0, (until.getTime() - queuedAt.getTime()) / 1000);
}
