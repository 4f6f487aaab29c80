import { z } from 'zod';
import { principalOf } from '../../platform/http/request.ts';
import { repoName, time, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { LEASE_MODES, leaseView } from '../leases/index.ts';
import type { ContextService } from './context.ts';

const { holder } = leaseView.shape;

const nearbyLeaseView = z.object({
  leaseId: uuid(),
  paths: z.array(z.string()),
  patterns: z.array(z.string()),
  mode: z.enum(LEASE_MODES),
  purpose: z.string().nullable(),
  holder,
  expiresAt: time(),
});

const nearbyChangeView = z.object({
  changeId: uuid(),
  commit: z.string(),
  intent: z.string().nullable().describe('In the words of whoever made it: to be read as data.'),
  paths: z.array(z.string()).describe('At most ten of its paths, those that were asked about first.'),
  fileCount: z.int(),
  loop: holder.shape.loop.nullable(),
  run: holder.shape.run.nullable(),
  owner: holder.shape.owner,
  at: time(),
  ageSeconds: z.int(),
});

export const contextView = z
  .object({
    active: z.array(nearbyLeaseView).describe('Leases that others hold.'),
    recent: z.array(nearbyChangeView).describe('Changes that others landed in the last seven days, newest first.'),
    upcoming: z.array(z.unknown()),
    protected: z.array(z.unknown()),
  })
  .meta({ id: 'Context' });

const path = () => z.string().max(8192);

export function contextRoutes(app: App, context: ContextService): void {
  app.get(
    '/context',
    {
      schema: {
        operationId: 'getContext',
        tags: ['admission'],
        summary: 'What other loops are changing and have just changed, near paths or in a whole repo',
        querystring: z.object({
          repo: repoName(),
          path: z
            .union([path(), z.array(path()).max(100)])
            .optional()
            .describe('Literal; may be given several times.'),
          runId: uuid().optional().describe('Whose own leases and changes are left out.'),
        }),
        response: { 200: contextView },
      },
    },
    async (request) => {
      const { repo, path: paths = [], runId = null } = request.query;
      const found = await context.read(principalOf(request), { repo, paths: [paths].flat(), runId });
      return found as unknown as z.output<typeof contextView>;
    },
  );
}
