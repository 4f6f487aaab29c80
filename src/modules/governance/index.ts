export { ApprovalService } from './approval-service.ts';
export { ApprovalWatch } from './approval-watch.ts';
export * from './policy/index.ts';
export { PolicyService } from './policy-service.ts';
export { governanceRoutes } from './routes.ts';
export { sweepApprovals } from './vote.ts';
