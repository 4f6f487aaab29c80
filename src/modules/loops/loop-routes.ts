import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { takeAsText, YAML_TYPES } from '../../platform/http/json-body.ts';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery, repoName, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import type { DefinitionInput } from './definition/index.ts';
import type { LoopService } from './loop-service.ts';
import { loopView, registeredLoopView } from './views.ts';

const tags = ['loops'];

export function loopRoutes(app: App, loops: LoopService): void {
  registerRoute(app, loops);
  app.get(
    '/loops',
    {
      schema: {
        operationId: 'listLoops',
        tags,
        summary: 'Registered loops',
        querystring: pageQuery().extend({
          repo: repoName().optional(),
          owner: uuid().optional().describe("A member's id, or that of a key bound to no member."),
        }),
        response: { 200: pageOf(loopView) },
      },
    },
    async (request) => loops.list(principalOf(request), request.query),
  );
  app.get(
    '/loops/:id',
    {
      schema: {
        operationId: 'getLoop',
        tags,
        summary: 'One loop',
        params: z.object({ id: uuid() }),
        response: { 200: loopView },
      },
    },
    async (request) => loops.get(principalOf(request), request.params.id),
  );
}

function registerRoute(app: App, loops: LoopService): void {
  // In a scope of its own: nobody else takes YAML.
  void app.register(async (child) => {
    const scope = child as App;
    takeAsText(scope, YAML_TYPES);
    scope.post(
      '/loops',
      {
        config: { idempotent: true },
        schema: {
          operationId: 'registerLoop',
          tags,
          summary: 'Register a loop, or a new version of it, from its definition',
          description: 'The definition as JSON, or as YAML with the content type application/yaml.',
          consumes: ['application/json', 'application/yaml'],
          querystring: z.object({ repo: repoName().optional().describe('For a definition that names none.') }),
          body: z.unknown(),
          response: { 200: registeredLoopView, 201: registeredLoopView },
        },
      },
      async (request, reply) => {
        const { repo } = request.query;
        const answer = await loops.register(
          principalOf(request),
          definitionIn(request, request.body),
          repo,
          idempotentOf(request),
        );
        return reply.code(answer.status as 200 | 201).send(answer.body);
      },
    );
  });
}

/** A body announced as YAML arrives as its text, so that a mistake in it can be told with its line. */
function definitionIn(request: FastifyRequest, body: unknown): DefinitionInput {
  const isYaml = /^\s*(?:application|text)\/(?:x-)?yaml\b/i.test(request.headers['content-type'] ?? '');
  return isYaml ? { text: String(body), format: 'yaml' } : { value: body ?? null };
}
