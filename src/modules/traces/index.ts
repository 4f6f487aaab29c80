export { IngestService } from './ingest-service.ts';
export { otlpRoutes } from './otlp-routes.ts';
export { PostgresSpanStore } from './postgres-store.ts';
export { traceRoutes } from './trace-routes.ts';
export { TraceService } from './trace-service.ts';
