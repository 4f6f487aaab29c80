export { DeployService } from './deploy-service.ts';
export { IncidentService } from './incident-service.ts';
export { readEvidencePath } from './ranking/evidence-path.ts';
export { type Anomaly, MODEL, type Model } from './ranking/model.ts';
export { type Candidate, type EvidenceItem, type Observations, observe, rank, weigh } from './ranking/rank.ts';
export { incidentsRoutes } from './routes.ts';
export { SuspectService } from './suspect-service.ts';
