import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';

/** Fastify with our types: schemas are zod, in and out. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** Who may call a route before its role is even looked at. */
export type Access = 'org' | 'root' | 'public' | 'agent-hook';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Default `org`: a valid API key whose role has the operation. */
    access?: Access;
    /**
     * Takes an Idempotency-Key, which the document then says of the operation and without which `idempotentOf` throws.
     * `holds-secret`: its answer is kept encrypted under the caller's token.
     */
    idempotent?: true | 'holds-secret';
  }
  interface FastifySchema {
    operationId?: string;
    summary?: string;
    description?: string;
    tags?: readonly string[];
    hide?: boolean;
  }
}
