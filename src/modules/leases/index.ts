export { type ReadRows, type Searched, type Seeker, searchBroadly } from './broad-search.ts';
export {
  areTooMany,
  candidatesStatements,
  compilable,
  HELD_LEASE,
  type HeldLeaseRow,
  MOST_ASKED,
  MOST_CANDIDATES,
  toHeldLease,
  weightOfClaims,
} from './candidates.ts';
export { claimKey, pathsAndPatterns, textsOf } from './claim.ts';
export { ClaimTable } from './claim-table.ts';
export { type Asker, type Conflict, decideLease, type Tables, toWatch, type Verdict } from './decide.ts';
export { HoldHistory } from './hold-history.ts';
export { closedUntil, type HeldLease, type Holder, type SpentApproval, standing } from './lease.ts';
export { endThoseOver, LeaseSweep } from './lease-sweep.ts';
export type { WantedIn } from './lookups.ts';
export type {
  AcquireOperation,
  CancelOperation,
  LeaseChanges,
  LeaseOperation,
  LeaseQueue,
  PromoteOperation,
  ReleaseOperation,
  RenewOperation,
  RevokeOperation,
  Spoken,
} from './operation.ts';
export {
  compileFairly,
  DEFAULT_TTL_SECONDS,
  LEASE_MODES,
  parseClaims,
  pathTexts,
  purpose,
  speakingEpoch,
  ttlSeconds,
  type Wanted,
  waitSeconds,
} from './request.ts';
export { leaseRoutes } from './routes.ts';
export { createLeaseObserver } from './run-life.ts';
export { hasOpenLeases, LeaseService } from './service.ts';
export { TooBroad, TooIntricate, tooIntricate } from './too-broad.ts';
export { compileStored, STEPS_AHEAD_MAX, Uncompiled } from './uncompiled.ts';
export { conflictView, type LeaseView, leaseTimes, leaseView, viewLease } from './views.ts';
export { WaitingLine } from './waiting/line.ts';
export { loadWaitGraph } from './waiting/load-waits.ts';
export { HELD_WAITER, toWaiter, type WaiterRow } from './waiting/rows.ts';
export { TicketReader } from './waiting/ticket-reader.ts';
export { createTicketWatch } from './waiting/ticket-watch.ts';
export { LeaseTickets } from './waiting/tickets.ts';
export { type Wait, type WaitGraph, waitsFor } from './waiting/wait-graph.ts';
export { HELD_SECONDS, LAST, mayCount, placeOf, secondsInLine, type Waiter } from './waiting/waiter.ts';
