export { ContextService } from './context.ts';
export { contextRoutes } from './context-routes.ts';
export { HotPath } from './hot/hot-path.ts';
export type { Part } from './hot/operation.ts';
export { readLeaseRecords } from './lease-records.ts';
export { NearbyLeases } from './nearby.ts';
export { NearbyChanges } from './nearby-changes.ts';
export { admissionRoutes } from './routes.ts';
export { type Admission, type AdmissionRequest, AdmissionService, DEFAULT_WISH } from './service.ts';
