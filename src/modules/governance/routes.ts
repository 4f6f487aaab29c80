import type { App } from '../../platform/http/server.ts';
import { approvalRoutes } from './approval-routes.ts';
import type { ApprovalService } from './approval-service.ts';
import { policyRoutes } from './policy-routes.ts';
import type { PolicyService } from './policy-service.ts';

interface GovernanceDeps {
  readonly policies: PolicyService;
  readonly approvals: ApprovalService;
  /** Aborts when the server shuts down. */
  readonly draining: AbortSignal;
}

/** Policies and approvals. */
export function governanceRoutes(app: App, { policies, approvals, draining }: GovernanceDeps): void {
  policyRoutes(app, policies);
  approvalRoutes(app, approvals, draining);
}
