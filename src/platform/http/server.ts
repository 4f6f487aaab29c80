import { randomUUID } from 'node:crypto';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import Fastify, { type FastifyBaseLogger, LogController } from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import type { App } from './app.ts';
import { answerBadHttp, answerBadUrl, answerErrors } from './errors.ts';
import { registerBodyParsers } from './json-body.ts';
import { openapiDocument, openapiOperation } from './openapi.ts';
import { problemSchema } from './schemas.ts';
import { refuseUnreadable } from './unreadable.ts';
import { closeUnusedConnections, cutOffLateClients } from './unused-connections.ts';
import { UPGRADE_OPTIONS } from './upgrades.ts';
import { registerWebSockets } from './web-sockets.ts';

export type { App } from './app.ts';

const BODY_LIMIT_BYTES = 1024 * 1024;
/** Half of the time that a stop may take in all; what is held open ends at once. */
const DRAIN_MS = 10_000;

/** An HTTP server without routes: parsing, validation, problems, OpenAPI. */
export async function createHttpServer(options: { logger: FastifyBaseLogger; version: string }): Promise<App> {
  const app = Fastify({
    loggerInstance: options.logger,
    bodyLimit: BODY_LIMIT_BYTES,
    genReqId: () => randomUUID(),
    frameworkErrors: answerBadUrl,
    clientErrorHandler: answerBadHttp,
    // Spans and metrics tell of every request; a line each would bury the log.
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { maxParamLength: 300 },
    // A drain must not wait for idle keep-alive connections.
    forceCloseConnections: 'idle',
    requestTimeout: 120_000,
    // Who names no host is told so by a problem.
    http: { ...UPGRADE_OPTIONS, requireHostHeader: false },
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  registerBodyParsers(app);
  closeUnusedConnections(app);
  cutOffLateClients(app, DRAIN_MS);
  answerErrors(app);
  refuseUnreadable(app);
  app.addHook('onRoute', (route) => {
    if (route.schema === undefined || route.schema.hide === true) return;
    // Every operation may answer with a problem; said once, here.
    route.schema.response = {
      ...(route.schema.response as object),
      default: { description: 'A problem.', content: { 'application/problem+json': { schema: problemSchema } } },
    };
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Signalbox',
        version: options.version,
        description: 'Coordinates coding-agent loops: leases, decisions, approvals, one log.',
      },
      components: {
        securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' }, rootKey: { type: 'http', scheme: 'bearer' } },
      },
      security: [{ apiKey: [] }],
    },
    transform: openapiOperation,
    transformObject: openapiDocument,
  });
  await app.register(async (docs) => {
    docs.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'public' };
    });
    await docs.register(swaggerUi, { routePrefix: '/docs' });
  });
  await registerWebSockets(app);
  return app;
}
