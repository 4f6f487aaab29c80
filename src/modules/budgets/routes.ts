import { z } from 'zod';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery, text, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { type HaltService, haltView } from './halts.ts';

const tags = ['budgets'];

const scope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('org') }),
  z.strictObject({ kind: z.enum(['team', 'repo', 'loop']), id: uuid() }),
]);

export function budgetRoutes(app: App, { halts }: { halts: HaltService }): void {
  app.post(
    '/halts',
    {
      config: { idempotent: true },
      schema: {
        operationId: 'setHalt',
        tags,
        summary: 'Stop every loop of the org, or of one team, repo or loop',
        body: z.strictObject({ scope, reason: text(1000) }),
        response: { 201: haltView },
      },
    },
    async (request, reply) => {
      const answer = await halts.set(principalOf(request), request.body, idempotentOf(request));
      return reply.code(answer.status as 201).send(answer.body);
    },
  );
  app.delete(
    '/halts/:id',
    {
      schema: {
        operationId: 'liftHalt',
        tags,
        summary: 'Lift a halt',
        params: z.object({ id: uuid() }),
        response: { 200: haltView },
      },
    },
    async (request) => halts.lift(principalOf(request), request.params.id),
  );
  app.get(
    '/halts',
    {
      schema: {
        operationId: 'listHalts',
        tags,
        summary: 'Halts in force, newest first',
        querystring: pageQuery().extend({
          all: z.enum(['true', 'false']).default('false').describe('true: those that were lifted, too.'),
        }),
        response: { 200: pageOf(haltView) },
      },
    },
    async (request) => {
      const { all, ...page } = request.query;
      return halts.list(principalOf(request), { ...page, all: all === 'true' });
    },
  );
}
