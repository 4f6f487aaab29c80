export { ApprovalService } from './approval-service.ts';
export type { ApprovalStatus, ApprovalView } from './approval-views.ts';
export { ApprovalWatch } from './approval-watch.ts';
export * from './policy/index.ts';
export { PolicyService } from './policy-service.ts';
export { type GovernanceDeps, governanceRoutes } from './routes.ts';
export { sweepApprovals } from './vote.ts';
