export { EventLog } from './event-log.ts';
export { activityRoutes } from './routes.ts';
