import { z } from 'zod';
import { principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import type { TraceService } from './trace-service.ts';
import { traceFilters, traceSummaryView, traceView } from './views.ts';

const tags = ['telemetry'];
const MAX_SPANS = 5000;

/** GET /traces and GET /traces/{traceId}. */
export function traceRoutes(app: App, traces: TraceService): void {
  app.get(
    '/traces',
    {
      schema: {
        operationId: 'searchTraces',
        tags,
        summary: 'Traces with a span that matches, newest first',
        querystring: pageQuery().extend(traceFilters),
        response: { 200: pageOf(traceSummaryView) },
      },
    },
    async (request) => traces.search(principalOf(request), request.query),
  );
  app.get(
    '/traces/:traceId',
    {
      schema: {
        operationId: 'getTrace',
        tags,
        summary: 'One trace with its spans',
        params: z.object({
          traceId: z
            .string()
            .regex(/^[0-9a-fA-F]{32}$/, { error: 'expected 32 hex digits' })
            .toLowerCase(),
        }),
        querystring: z.object({
          limit: z.coerce.number().int().min(1).max(MAX_SPANS).default(MAX_SPANS),
          cursor: z.string().max(500).optional(),
        }),
        response: { 200: traceView },
      },
    },
    async (request) => traces.get(principalOf(request), request.params.traceId, request.query),
  );
}
