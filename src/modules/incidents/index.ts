export { DeployService } from './deploy-service.ts';
export { IncidentService } from './incident-service.ts';
export { type IncidentsServices, incidentsRoutes } from './routes.ts';
