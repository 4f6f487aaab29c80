import type pg from 'pg';
import { z } from 'zod';
import type { Telemetry } from '../telemetry/index.ts';
import type { App } from './server.ts';

const PROBE_TIMEOUT_MS = 2000;

/**
 * /healthz: this process answers. /readyz: it should get traffic: the database answers and takes writes, and no shutdown has begun.
 * /metrics: Prometheus. All without a key, and nothing of any org in them.
 */
export function healthRoutes(app: App, deps: { pool: pg.Pool; telemetry: Telemetry; draining: AbortSignal }): void {
  const state = z.object({ status: z.string() });
  app.get(
    '/healthz',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'getHealth',
        tags: ['health'],
        summary: 'The process answers',
        security: [],
        response: { 200: state },
      },
    },
    async () => ({ status: 'ok' }),
  );
  app.get(
    '/readyz',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'getReadiness',
        tags: ['health'],
        summary: 'Fit to take requests',
        security: [],
        response: { 200: state, 503: state },
      },
    },
    async (_request, reply) => {
      if (deps.draining.aborted) return reply.code(503).send({ status: 'draining' });
      const database = await stateOf(deps.pool);
      if (database !== 'writable') return reply.code(503).send({ status: `database ${database}` });
      return { status: 'ready' };
    },
  );
  app.get('/metrics', { config: { access: 'public' }, schema: { hide: true } }, (request, reply) => {
    reply.hijack();
    deps.telemetry.prometheus(request.raw, reply.raw);
  });
}

async function stateOf(pool: pg.Pool): Promise<'writable' | 'read-only' | 'unreachable'> {
  const late = new Promise<'unreachable'>((resolve) => setTimeout(resolve, PROBE_TIMEOUT_MS, 'unreachable').unref());
  const asked = pool
    .query<{ closed: boolean }>(`SELECT current_setting('transaction_read_only')::boolean AS closed`)
    .then(
      ({ rows }) => (rows[0]!.closed ? 'read-only' : 'writable'),
      () => 'unreachable' as const,
    );
  return Promise.race([asked, late]);
}
