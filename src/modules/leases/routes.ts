import { z } from 'zod';
import { invalid } from '../../platform/errors.ts';
import { plainJson } from '../../platform/http/plain-json.ts';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery, repoName, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import type { RepoService } from '../loops/index.ts';
import type { LeaseQueue } from './operation.ts';
import {
  DEFAULT_TTL_SECONDS,
  LEASE_MODES,
  MAX_PATHS,
  parseMatchers,
  pathTexts,
  purpose,
  ttlSeconds,
} from './request.ts';
import type { LeaseService } from './service.ts';
import { leaseView } from './views.ts';

export interface LeaseRoutesDeps {
  readonly queue: LeaseQueue;
  readonly leases: LeaseService;
  readonly repos: RepoService;
}

const tags = ['leases'];
const idParam = z.object({ id: uuid() });
const fenceNumber = () => z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const oneLease = z.object({ lease: leaseView });
type OneLease = z.output<typeof oneLease>;

const acquireBody = z.strictObject({
  repo: repoName(),
  runId: uuid(),
  paths: pathTexts().default([]).describe('Literal, repo-relative.'),
  patterns: pathTexts().default([]),
  mode: z.enum(LEASE_MODES).default('exclusive'),
  ttlSeconds: ttlSeconds().default(DEFAULT_TTL_SECONDS),
  purpose: purpose().nullish(),
  waitSeconds: waitSeconds(),
});

/** Waiting is refused, not ignored: a caller that believes it is queued would stand still for nothing. */
export function waitSeconds() {
  return z.number().min(0).max(3600).default(0);
}

/** @throws Problem 422 `wait_unsupported` */
export function refuseWaiting(seconds: number): void {
  if (seconds > 0)
    throw invalid('wait_unsupported', 'This server does not queue for leases yet: send waitSeconds 0 and ask again.');
}

export function leaseRoutes(app: App, { queue, leases, repos }: LeaseRoutesDeps): void {
  app.post(
    '/leases',
    {
      ...plainJson,
      schema: {
        operationId: 'acquireLease',
        tags,
        summary: 'Acquire a lease on paths and patterns, all or none',
        body: acquireBody,
        response: { 201: oneLease },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const { body } = request;
      refuseWaiting(body.waitSeconds);
      const wanted = {
        matchers: parseMatchers(body.paths, body.patterns),
        mode: body.mode,
        ttlSeconds: body.ttlSeconds,
        purpose: body.purpose ?? null,
      };
      const repo = await repos.resolve(principal, body.repo);
      const answer = await queue.submit({
        kind: 'acquire',
        principal,
        idempotent: idempotentOf(request),
        repo,
        runId: body.runId,
        wanted,
      });
      return reply.code(answer.status as 201).send(answer.body as OneLease);
    },
  );

  holdingRoutes(app, queue);
  readingRoutes(app, leases);
}

function holdingRoutes(app: App, queue: LeaseQueue): void {
  const renewal = z.strictObject({ fence: fenceNumber(), ttlSeconds: ttlSeconds().optional() });
  app.post(
    '/leases/:id/renew',
    {
      ...plainJson,
      schema: {
        operationId: 'renewLease',
        tags,
        summary: 'Extend a lease from now',
        params: idParam,
        body: renewal,
        response: { 200: oneLease },
      },
    },
    async (request) => {
      const { fence, ttlSeconds: ttl = null } = request.body;
      const answer = await queue.submit({
        kind: 'renew',
        principal: principalOf(request),
        idempotent: idempotentOf(request),
        leaseId: request.params.id,
        fence,
        ttlSeconds: ttl,
      });
      return answer.body as OneLease;
    },
  );

  app.post(
    '/leases/:id/release',
    {
      ...plainJson,
      schema: {
        operationId: 'releaseLease',
        tags,
        summary: 'End a lease now',
        params: idParam,
        body: z.strictObject({ fence: fenceNumber() }),
        response: { 200: oneLease },
      },
    },
    async (request) => {
      const answer = await queue.submit({
        kind: 'release',
        principal: principalOf(request),
        idempotent: idempotentOf(request),
        leaseId: request.params.id,
        fence: request.body.fence,
      });
      return answer.body as OneLease;
    },
  );
}

function readingRoutes(app: App, leases: LeaseService): void {
  const query = pageQuery().extend({
    repo: repoName().optional(),
    path: z.string().max(8192).optional(),
    runId: uuid().optional(),
  });
  app.get(
    '/leases',
    {
      schema: {
        operationId: 'listLeases',
        tags,
        summary: 'Leases that are held, newest first',
        querystring: query,
        response: { 200: pageOf(leaseView) },
      },
    },
    async (request) => leases.list(principalOf(request), request.query),
  );

  app.get(
    '/leases/:id',
    {
      schema: {
        operationId: 'getLease',
        tags,
        summary: 'One lease, ended or not',
        params: idParam,
        response: { 200: leaseView },
      },
    },
    async (request) => leases.get(principalOf(request), request.params.id),
  );

  const verification = z.object({
    ok: z.boolean(),
    uncovered: z.array(z.string()),
    stale: z.array(
      z.object({ id: uuid(), fence: z.int(), reason: z.enum(['unknown', 'fence', 'ended', 'expired', 'other_repo']) }),
    ),
  });
  const body = z.strictObject({
    repo: repoName(),
    paths: pathTexts(),
    leases: z.array(z.strictObject({ id: uuid(), fence: fenceNumber() })).max(MAX_PATHS),
  });
  app.post(
    '/leases/verify',
    {
      schema: {
        operationId: 'verifyLeases',
        tags,
        summary: 'Whether leases cover paths, for push and merge gates',
        body,
        response: { 200: verification },
      },
    },
    async (request) => leases.verify(principalOf(request), request.body),
  );
}
