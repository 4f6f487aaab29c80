export { EventLog, type EventView } from './event-log.ts';
export { activityRoutes } from './routes.ts';
