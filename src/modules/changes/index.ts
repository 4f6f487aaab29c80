export type { LeaseRecord } from './coverage.ts';
export type { RecentChange } from './recent.ts';
export type { ReadLeases } from './record.ts';
export { changeRoutes } from './routes.ts';
export { ChangeService } from './service.ts';
