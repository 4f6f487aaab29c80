export { candidatesStatement, HELD_LEASE, type HeldLeaseRow, toHeldLease, type WantedIn } from './candidates.ts';
export { type Conflict, decideLease, type Verdict } from './decide.ts';
export { type HeldLease, type SpentApproval, standing } from './lease.ts';
export { LeaseTable } from './lease-table.ts';
export type { AcquireOperation, LeaseOperation, LeaseQueue, ReleaseOperation, RenewOperation } from './operation.ts';
export {
  DEFAULT_TTL_SECONDS,
  LEASE_MODES,
  parseMatchers,
  pathTexts,
  purpose,
  ttlSeconds,
  type Wanted,
} from './request.ts';
export { leaseRoutes, refuseWaiting, waitSeconds } from './routes.ts';
export { leaseObserver, sweepLeases } from './run-life.ts';
export { hasOpenLeases, LeaseService } from './service.ts';
export { conflictView, type LeaseView, leaseView, textsOf, viewLease } from './views.ts';
