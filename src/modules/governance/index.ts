export * from './policy/index.ts';
export { PolicyService } from './policy-service.ts';
export { type GovernanceServices, governanceRoutes } from './routes.ts';
