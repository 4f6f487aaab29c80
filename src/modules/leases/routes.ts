import { z } from 'zod';
import { HeldAnswers } from '../../platform/http/held-open.ts';
import { plainJson } from '../../platform/http/plain-json.ts';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery, repoName, text, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import type { RepoService } from '../loops/index.ts';
import type { LeaseQueue } from './operation.ts';
import {
  compileFairly,
  DEFAULT_TTL_SECONDS,
  LEASE_MODES,
  MAX_PATHS,
  parseClaims,
  pathTexts,
  purpose,
  speakingEpoch,
  ttlSeconds,
  waitSeconds,
} from './request.ts';
import { type LeaseService, STALE_REASONS } from './service.ts';
import { ticketRoutes } from './ticket-routes.ts';
import { leaseView, ticketView } from './views.ts';
import type { LeaseTickets } from './waiting/tickets.ts';

export interface LeaseRoutesDeps {
  readonly queue: LeaseQueue;
  readonly leases: LeaseService;
  readonly tickets: LeaseTickets;
  readonly repos: RepoService;
  /** Aborts when the server shuts down: answers that are held open are given then. */
  readonly draining: AbortSignal;
}

const tags = ['leases'];
const idParam = z.object({ id: uuid() });
const fenceNumber = () => z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const oneLease = z.object({ lease: leaseView });
type OneLease = z.output<typeof oneLease>;

const acquireBody = z.strictObject({
  repo: repoName(),
  runId: uuid(),
  epoch: speakingEpoch(),
  paths: pathTexts().default([]).describe('Literal, repo-relative.'),
  patterns: pathTexts().default([]),
  resources: pathTexts().default([]).describe('Things of the repo that are no files, by name: port:5432.'),
  mode: z.enum(LEASE_MODES).default('exclusive'),
  ttlSeconds: ttlSeconds().default(DEFAULT_TTL_SECONDS),
  purpose: purpose().nullish(),
  waitSeconds: waitSeconds().describe('Held open that long for what others hold; then 202 with a ticket.'),
});

export function leaseRoutes(app: App, { queue, leases, tickets, repos, draining }: LeaseRoutesDeps): void {
  const held = new HeldAnswers(draining);
  app.post(
    '/leases',
    {
      ...plainJson,
      config: { idempotent: true },
      schema: {
        operationId: 'acquireLease',
        tags,
        summary: 'Acquire a lease on paths, patterns and resources, all or none',
        description: `At most ${MAX_PATHS} paths, patterns and resources. 409: lease_conflict with conflicts, moreConflicts, free; lease_deadlock with cycle; lease_wait_on_self; lease_wait_ended; lease_revoked; halted; run_finished; epoch_stale and epoch_unknown. 422: paths_required, too_many_paths, resource_invalid, ttl_out_of_range, wait_out_of_range, and path_… or pattern_… by what is wrong.`,
        body: acquireBody,
        response: { 201: oneLease, 202: z.object({ ticket: ticketView }) },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const { body } = request;
      await compileFairly(body.patterns);
      const wanted = {
        matchers: parseClaims(body.paths, body.patterns, body.resources),
        mode: body.mode,
        ttlSeconds: body.ttlSeconds,
        purpose: body.purpose ?? null,
      };
      const idempotent = idempotentOf(request);
      const { runId, epoch } = body;
      const repo = await repos.resolve(principal, body.repo, { runId, epoch });
      const waits = body.waitSeconds > 0;
      const operation = { kind: 'acquire' as const, principal, idempotent, repo, runId, epoch, wanted, waits };
      const ask = (ended: AbortSignal) => tickets.acquire(operation, body.waitSeconds * 1000, ended);
      const acquired = waits ? await held.hold(reply, ask) : await ask(NEVER);
      if ('lease' in acquired) return reply.code(201).send(acquired);
      const { ticket } = acquired;
      return reply.code(202).header('location', `/api/v1/lease-tickets/${ticket.id}`).send({ ticket });
    },
  );

  holdingRoutes(app, queue);
  revokeRoute(app, queue);
  readingRoutes(app, leases);
  ticketRoutes(app, tickets, held);
}

/** Of a request that is not held open. */
const NEVER = new AbortController().signal;

function holdingRoutes(app: App, queue: LeaseQueue): void {
  const renewal = z.strictObject({ fence: fenceNumber(), ttlSeconds: ttlSeconds().optional(), epoch: speakingEpoch() });
  app.post(
    '/leases/:id/renew',
    {
      ...plainJson,
      config: { idempotent: true },
      schema: {
        operationId: 'renewLease',
        tags,
        summary: 'Extend a lease from now',
        description: '409: fence_stale for another fence or a lease that has ended; epoch_stale and epoch_unknown.',
        params: idParam,
        body: renewal,
        response: { 200: oneLease },
      },
    },
    async (request) => {
      const { fence, epoch, ttlSeconds: ttl = null } = request.body;
      const answer = await queue.submit({
        kind: 'renew',
        principal: principalOf(request),
        idempotent: idempotentOf(request),
        leaseId: request.params.id,
        fence,
        epoch,
        ttlSeconds: ttl,
      });
      return answer.body as OneLease;
    },
  );

  app.post(
    '/leases/:id/release',
    {
      ...plainJson,
      config: { idempotent: true },
      schema: {
        operationId: 'releaseLease',
        tags,
        summary: 'End a lease now',
        description: '409: fence_stale for another fence or a lease that has ended; epoch_stale and epoch_unknown.',
        params: idParam,
        body: z.strictObject({ fence: fenceNumber(), epoch: speakingEpoch() }),
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
        epoch: request.body.epoch,
      });
      return answer.body as OneLease;
    },
  );
}

function revokeRoute(app: App, queue: LeaseQueue): void {
  app.post(
    '/leases/:id/revoke',
    {
      ...plainJson,
      config: { idempotent: true },
      schema: {
        operationId: 'revokeLease',
        tags,
        summary: 'Take a lease back, whoever holds it',
        description:
          'Its run is told at its next heartbeat, hook or verification, and gets nothing there until the lease would have expired. 409: lease_over.',
        params: idParam,
        body: z.strictObject({ reason: text(500) }),
        response: { 200: oneLease },
      },
    },
    async (request) => {
      const answer = await queue.submit({
        kind: 'revoke',
        principal: principalOf(request),
        idempotent: idempotentOf(request),
        leaseId: request.params.id,
        reason: request.body.reason,
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
      z.object({
        id: uuid(),
        fence: z.int(),
        reason: z.enum(STALE_REASONS),
        message: z.string().nullable().describe('Why an admin revoked it.'),
      }),
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
        description:
          'Only exclusive leases cover what is pushed: under a shared one another run may have changed the same.',
        body,
        response: { 200: verification },
      },
    },
    async (request) => leases.verify(principalOf(request), request.body),
  );
}
