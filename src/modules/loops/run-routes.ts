import { z } from 'zod';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { emptyBody, pageOf, pageQuery, repoName, text, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { checkpointSchema } from './checkpoint.ts';
import type { RunService } from './run-service.ts';
import { RUN_STATUSES } from './run-states.ts';
import { epochNumber, iterationView, runView, usageSchema, wholeRunView } from './views.ts';

const tags = ['runs'];
const params = z.object({ id: uuid() });
const epoch = epochNumber();

const newRun = z.strictObject({
  trigger: text(200).nullish(),
  branch: text(500).nullish(),
  worktree: text(4096).nullish(),
  sessionId: text(200).nullish().describe('An agent session has one live run of a loop at a time.'),
});

const heartbeat = z.strictObject({
  epoch,
  iteration: z.int().min(1).max(1_000_000).optional().describe('The round the run is in, from 1.'),
  usage: z
    .strictObject({ ...usageSchema.shape, model: text(200).optional() })
    .optional()
    .describe('Totals of the run so far. A lower one than before changes nothing.'),
  checkpoint: checkpointSchema.optional().describe('Whatever the run needs to go on after a crash; at most 64 KiB.'),
  treeHash: text(200).optional().describe('State of the working tree at the end of the round.'),
  failingChecks: z.array(text(300)).max(200).optional().describe('What failed at the end of the round.'),
});

const heartbeatAnswer = z
  .object({
    signal: z.enum(['continue', 'pause', 'stop']),
    reasons: z.array(z.object({ code: z.string(), detail: z.string() })),
    status: z.literal('running'),
  })
  .meta({ id: 'HeartbeatAnswer' });

/** What a run, or whoever ends it, may say; that it was abandoned is only said of it. */
const outcome = z.strictObject({
  status: z.enum(['succeeded', 'failed', 'cancelled', 'stopped']),
  summary: text(4000).nullable().default(null),
});

export function runRoutes(app: App, runs: RunService): void {
  app.post(
    '/loops/:id/runs',
    {
      config: { idempotent: true },
      schema: {
        operationId: 'startRun',
        tags,
        summary: 'Start a run of a loop',
        params,
        body: newRun.nullish(),
        response: { 201: wholeRunView },
      },
    },
    async (request, reply) => {
      const { trigger = null, branch = null, worktree = null, sessionId = null } = request.body ?? {};
      const input = { trigger, branch, worktree, sessionId };
      const answer = await runs.start(principalOf(request), request.params.id, input, idempotentOf(request));
      return reply.code(answer.status as 201).send(answer.body);
    },
  );
  lifeRoutes(app, runs);
  readRoutes(app, runs);
}

function lifeRoutes(app: App, runs: RunService): void {
  app.post(
    '/runs/:id/heartbeat',
    {
      schema: {
        operationId: 'heartbeatRun',
        tags,
        summary: 'Report on a run and learn whether it may go on; renews its leases',
        params,
        body: heartbeat,
        response: { 200: heartbeatAnswer },
      },
    },
    async (request) => runs.heartbeat(principalOf(request), request.params.id, request.body),
  );
  app.post(
    '/runs/:id/finish',
    {
      schema: {
        operationId: 'finishRun',
        tags,
        summary: 'End a run and its leases',
        params,
        body: z.strictObject({ epoch, outcome }),
        response: { 200: wholeRunView },
      },
    },
    async (request) => runs.finish(principalOf(request), request.params.id, request.body),
  );
  app.post(
    '/runs/:id/resume',
    {
      schema: {
        operationId: 'resumeRun',
        tags,
        summary: 'Take a run over from a process that died: a new epoch',
        params,
        body: emptyBody(),
        response: { 200: wholeRunView },
      },
    },
    async (request) => runs.resume(principalOf(request), request.params.id),
  );
}

function readRoutes(app: App, runs: RunService): void {
  app.get(
    '/runs',
    {
      schema: {
        operationId: 'listRuns',
        tags,
        summary: 'Runs of the org, newest first',
        querystring: pageQuery().extend({
          loopId: uuid().optional(),
          status: z.enum(RUN_STATUSES).optional(),
          repo: repoName().optional(),
        }),
        response: { 200: pageOf(runView) },
      },
    },
    async (request) => runs.list(principalOf(request), request.query),
  );
  app.get(
    '/runs/:id',
    {
      schema: {
        operationId: 'getRun',
        tags,
        summary: 'One run with its checkpoint',
        params,
        response: { 200: wholeRunView },
      },
    },
    async (request) => runs.get(principalOf(request), request.params.id),
  );
  app.get(
    '/runs/:id/iterations',
    {
      schema: {
        operationId: 'listIterations',
        tags,
        summary: 'Rounds of a run, as it reported them',
        params,
        querystring: pageQuery(),
        response: { 200: pageOf(iterationView) },
      },
    },
    async (request) => runs.listIterations(principalOf(request), request.params.id, request.query),
  );
}
