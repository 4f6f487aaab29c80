import type { Idempotent } from '../../platform/database/idempotency.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Searched } from './broad-search.ts';
import type { HeldLease } from './lease.ts';
import type { Wanted } from './request.ts';

interface Base {
  readonly principal: Principal;
  readonly idempotent: Idempotent | null;
}

/** Of what a process of a run asks. */
export interface Spoken {
  /** The epoch of its run, if it says so: a process that was replaced by a resume changes nothing then. */
  readonly epoch?: number | undefined;
}

export interface AcquireOperation extends Base, Spoken {
  readonly kind: 'acquire';
  readonly repo: { readonly id: string; readonly name: string };
  readonly runId: string;
  readonly wanted: Wanted;
  /** Whether to queue for what cannot be had now: then a conflict is answered 202 with a ticket. */
  readonly waits: boolean;
  readonly searched?: Searched;
}

/** Looks whether the turn of a waiter has come. The server asks, with the principal that queued; it is no beat of the run. */
export interface PromoteOperation extends Base {
  readonly kind: 'promote';
  readonly ticketId: string;
  readonly repo: { readonly id: string; readonly name: string };
  readonly runId: string;
  readonly wanted: Wanted;
  readonly searched?: Searched;
}

/** Gives up waiting. Without a key it is the server that ends what nobody will ask for any more. */
export interface CancelOperation extends Base {
  readonly kind: 'cancel';
  readonly ticketId: string;
  /** What it leaves alone besides what others have joined: with `leases` any request for the lease itself. */
  readonly spares: 'leases' | 'joined' | null;
  /** Why it ends, where nobody asked for that. */
  readonly reason?: 'abandoned' | 'timed_out' | 'deadlock' | 'too_intricate';
}

export interface RenewOperation extends Base, Spoken {
  readonly kind: 'renew';
  readonly leaseId: string;
  readonly fence: number;
  /** Null: as long as it was asked for before. */
  readonly ttlSeconds: number | null;
}

export interface ReleaseOperation extends Base, Spoken {
  readonly kind: 'release';
  readonly leaseId: string;
  readonly fence: number;
}

/** An admin takes a lease back, whoever holds it. */
export interface RevokeOperation extends Base {
  readonly kind: 'revoke';
  readonly leaseId: string;
  readonly reason: string;
}

export type LeaseOperation =
  | AcquireOperation
  | PromoteOperation
  | CancelOperation
  | RenewOperation
  | ReleaseOperation
  | RevokeOperation;

/** Where lease operations are decided and made durable: the org's batch, which the admission module runs. */
export interface LeaseQueue {
  submit(operation: LeaseOperation): Promise<{
    readonly status: number;
    readonly body: Record<string, unknown>;
    /** Given before, to the same Idempotency-Key. */
    readonly replayed?: boolean;
  }>;
}

/** What a committed batch did to leases and to those who wait for them, for whoever lives off it. */
export interface LeaseChanges {
  readonly orgId: string;
  readonly granted: readonly HeldLease[];
  readonly ended: readonly HeldLease[];
  /** Whether anybody waits in this org. */
  readonly someWait: boolean;
  /** Tickets that are waited for no more. */
  readonly settled: readonly { readonly ticketId: string; readonly granted: boolean }[];
  /** Leases that somebody watches now; after `freeInMs` they are in nobody's way unless they are renewed. */
  readonly watched: readonly { readonly leaseId: string; readonly freeInMs: number }[];
}
