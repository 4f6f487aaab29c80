import type { App } from '../../platform/http/server.ts';
import { policyRoutes } from './policy-routes.ts';
import type { PolicyService } from './policy-service.ts';

export interface GovernanceServices {
  readonly policies: PolicyService;
}

/** Policies and approvals. */
export function governanceRoutes(app: App, { policies }: GovernanceServices): void {
  policyRoutes(app, policies);
}
