export { candidatesStatement, HELD_LEASE, type HeldLeaseRow, toHeldLease, type WantedIn } from './candidates.ts';
export { type Conflict, decideLease, type Verdict } from './decide.ts';
export { closedUntil, type HeldLease, type Holder, type SpentApproval, standing } from './lease.ts';
export { LeaseTable } from './lease-table.ts';
export type { AcquireOperation, LeaseOperation, LeaseQueue, ReleaseOperation, RenewOperation } from './operation.ts';
export {
  DEFAULT_TTL_SECONDS,
  LEASE_MODES,
  type LeaseMode,
  MAX_PATHS,
  parseMatchers,
  pathTexts,
  purpose,
  ttlSeconds,
  type Wanted,
} from './request.ts';
