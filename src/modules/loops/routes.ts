import { z } from 'zod';
import { principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery, repoName, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { loopRoutes } from './loop-routes.ts';
import type { LoopService } from './loop-service.ts';
import { type RepoService, repoView } from './repos.ts';
import { runRoutes } from './run-routes.ts';
import type { RunService } from './run-service.ts';

export interface LoopsServices {
  readonly repos: RepoService;
  readonly loops: LoopService;
  readonly runs: RunService;
}

/** Repos, loops and runs. */
export function loopsRoutes(app: App, { repos, loops, runs }: LoopsServices): void {
  repoRoutes(app, repos);
  loopRoutes(app, loops);
  runRoutes(app, runs);
}

function repoRoutes(app: App, repos: RepoService): void {
  const tags = ['loops'];
  app.get(
    '/repos',
    {
      schema: {
        operationId: 'listRepos',
        tags,
        summary: 'Repos that were ever named',
        querystring: pageQuery().extend({ name: repoName().optional() }),
        response: { 200: pageOf(repoView) },
      },
    },
    async (request) => repos.list(principalOf(request), request.query),
  );
  app.patch(
    '/repos/:id',
    {
      schema: {
        operationId: 'patchRepo',
        tags,
        summary: 'Say whether paths of a repo differ by case',
        params: z.object({ id: uuid() }),
        body: z.strictObject({ caseSensitive: z.boolean().optional() }),
        response: { 200: repoView },
      },
    },
    async (request) => repos.patch(principalOf(request), request.params.id, request.body),
  );
}
