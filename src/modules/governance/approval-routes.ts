import { z } from 'zod';
import { HeldAnswers } from '../../platform/http/held-open.ts';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { heldSeconds, pageOf, pageQuery, repoName, text, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import type { ApprovalService } from './approval-service.ts';
import { APPROVAL_STATUSES, approvalView, VERDICTS } from './approval-views.ts';

const tags = ['approvals'];
const params = z.object({ id: uuid() });

/** `draining` aborts when the server shuts down: answers that are held open are given then. */
export function approvalRoutes(app: App, approvals: ApprovalService, draining: AbortSignal): void {
  const held = new HeldAnswers(draining);
  app.get(
    '/approvals',
    {
      schema: {
        operationId: 'listApprovals',
        tags,
        summary: 'Approvals, newest first',
        querystring: pageQuery().extend({
          status: z.enum(APPROVAL_STATUSES).optional(),
          repo: repoName().optional(),
          mine: z.enum(['true', 'false']).default('false').describe('true: those that you may still vote on.'),
        }),
        response: { 200: pageOf(approvalView) },
      },
    },
    async (request) => {
      const { mine, ...query } = request.query;
      return approvals.list(principalOf(request), { ...query, mine: mine === 'true' });
    },
  );
  app.get(
    '/approvals/:id',
    {
      schema: {
        operationId: 'getApproval',
        tags,
        summary: 'One approval, at once or as soon as it is settled',
        params,
        querystring: z.object({
          waitSeconds: heldSeconds().describe('How long to wait while pending.'),
        }),
        response: { 200: approvalView },
      },
    },
    async (request, reply) =>
      held.hold(reply, (ended) =>
        approvals.wait(principalOf(request), request.params.id, request.query.waitSeconds, ended),
      ),
  );
  app.post(
    '/approvals/:id/votes',
    {
      config: { idempotent: true },
      schema: {
        operationId: 'voteOnApproval',
        tags,
        summary: 'Approve or reject what a loop asked for',
        params,
        body: z.strictObject({ verdict: z.enum(VERDICTS), comment: text(2000).nullish() }),
        response: { 200: approvalView },
      },
    },
    async (request) => {
      const { verdict, comment = null } = request.body;
      const ballot = { verdict, comment };
      const { body } = await approvals.vote(principalOf(request), request.params.id, ballot, idempotentOf(request));
      return body;
    },
  );
}
