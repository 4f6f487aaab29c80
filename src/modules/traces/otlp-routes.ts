import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Problem } from '../../platform/errors.ts';
import { toProblem } from '../../platform/http/errors.ts';
import { principalOf } from '../../platform/http/request.ts';
import type { App } from '../../platform/http/server.ts';
import type { Share } from './byte-budget.ts';
import type { IngestService } from './ingest-service.ts';
import {
  CONTENT_TYPES,
  type Encoding,
  encodingOf,
  exportAnswer,
  rpcCodeOf,
  type Signal,
  statusAnswer,
} from './otlp/answers.ts';
import { Malformed, TooMuch } from './otlp/malformed.ts';
import { readOtlpBody } from './otlp-body.ts';

const ROUTES = [
  { signal: 'traces', operationId: 'ingestTraces', summary: 'OTLP/HTTP: spans' },
  { signal: 'logs', operationId: 'ingestLogs', summary: 'OTLP/HTTP: log records' },
  { signal: 'metrics', operationId: 'ingestMetrics', summary: 'OTLP/HTTP: metrics, which are not kept' },
] as const satisfies readonly { signal: Signal; operationId: string; summary: string }[];

const encodings = (schema: z.ZodType) =>
  Object.fromEntries(Object.values(CONTENT_TYPES).map((type) => [type, { schema }]));

const exported = z.object({
  partialSuccess: z.looseObject({ errorMessage: z.string() }).optional().describe('Unset when all was taken.'),
});
const status = z.object({ code: z.int(), message: z.string() }).meta({ id: 'RpcStatus' });

/**
 * `POST /v1/traces`, `/v1/logs`, `/v1/metrics`, at the root as OTLP/HTTP has them. Protobuf or JSON, plain or gzip; the
 * answer is in the request's encoding, also when it is an error, whose body is a google.rpc.Status.
 */
export async function otlpRoutes(app: App, ingest: IngestService): Promise<void> {
  await app.register(async (plugin) => {
    const scope = plugin as App;
    const shares = new WeakMap<FastifyRequest, Share>();
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      Object.values(CONTENT_TYPES),
      async (request: FastifyRequest, payload: IncomingMessage) =>
        readOtlpBody(payload, (bytes) => shares.get(request)?.take(bytes)),
    );
    scope.setErrorHandler((error, request, reply) => refuse(error, request, reply));
    for (const { signal, operationId, summary } of ROUTES) {
      scope.post(`/v1/${signal}`, {
        schema: {
          operationId,
          summary,
          tags: ['telemetry'],
          consumes: Object.values(CONTENT_TYPES),
          body: z.unknown().describe(`An ${REQUESTS[signal]}, plain or gzip.`),
          response: {
            200: { description: 'Durable, but for what partialSuccess names.', content: encodings(exported) },
            '4XX': { description: 'Refused; nothing was taken.', content: encodings(status) },
            '5XX': { description: 'Nothing is known to be taken.', content: encodings(status) },
          },
        },
        onRequest: async (request, reply) => {
          const share = ingest.open(principalOf(request));
          shares.set(request, share);
          reply.raw.once('close', () => share.release());
        },
        handler: async (request, reply) => {
          const encoding = encodingOf(request.headers['content-type']);
          if (encoding === null) throw new Problem(415, 'unsupported_media_type', 'Send a Content-Type of OTLP.');
          const body = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
          const rejected = await ingest.ingest(principalOf(request), signal, { encoding, body });
          return send(reply, encoding, exportAnswer(encoding, signal, rejected));
        },
      });
    }
  });
}

const REQUESTS: Readonly<Record<Signal, string>> = {
  traces: 'ExportTraceServiceRequest',
  logs: 'ExportLogsServiceRequest',
  metrics: 'ExportMetricsServiceRequest',
};

function send(reply: FastifyReply, encoding: Encoding, body: Buffer): FastifyReply {
  // Bytes as they are: no serializer looks at them.
  return reply.type(CONTENT_TYPES[encoding]).send(body);
}

function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = asProblem(error);
  if (problem.status >= 500)
    request.log.error({ err: error, operationId: request.routeOptions.schema?.operationId }, problem.message);
  const encoding = encodingOf(request.headers['content-type']) ?? 'json';
  reply.code(problem.status).headers(problem.headers);
  return send(reply, encoding, statusAnswer(encoding, rpcCodeOf(problem.status), problem.message));
}

function asProblem(error: unknown): Problem {
  if (error instanceof Malformed) return new Problem(400, 'bad_request', `This is no OTLP request: ${error.message}.`);
  if (error instanceof TooMuch) return new Problem(413, 'body_too_large', error.message);
  return toProblem(error);
}
