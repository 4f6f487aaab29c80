import type { Idempotent } from '../../platform/database/idempotency.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Wanted } from './request.ts';

interface Base {
  readonly principal: Principal;
  readonly idempotent: Idempotent | null;
}

export interface AcquireOperation extends Base {
  readonly kind: 'acquire';
  readonly repo: { readonly id: string; readonly name: string };
  readonly runId: string;
  readonly wanted: Wanted;
}

export interface RenewOperation extends Base {
  readonly kind: 'renew';
  readonly leaseId: string;
  readonly fence: number;
  /** Null: as long as it was asked for before. */
  readonly ttlSeconds: number | null;
}

export interface ReleaseOperation extends Base {
  readonly kind: 'release';
  readonly leaseId: string;
  readonly fence: number;
}

export type LeaseOperation = AcquireOperation | RenewOperation | ReleaseOperation;

/** Where lease operations are decided and made durable: the org's batch, which the admission module runs. */
export interface LeaseQueue {
  submit(operation: LeaseOperation): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>;
}
