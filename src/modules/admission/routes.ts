import { z } from 'zod';
import { invalid } from '../../platform/errors.ts';
import { HeldAnswers } from '../../platform/http/held-open.ts';
import { plainJson } from '../../platform/http/plain-json.ts';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { repoName, text, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { ACTION_NAMES, type ActionName } from '../governance/index.ts';
import {
  conflictView,
  LEASE_MODES,
  leaseView,
  pathTexts,
  purpose,
  speakingEpoch,
  ttlSeconds,
  waitSeconds,
} from '../leases/index.ts';
import { contextView } from './context-routes.ts';
import { type AdmissionService, DEFAULT_WISH, type LeaseWish, partsOf } from './service.ts';

const EFFECTS = ['allow', 'deny', 'require_approval'] as const;

const ruleView = z
  .object({
    id: z.string(),
    policy: z
      .string()
      .nullable()
      .describe('Null for what stands above policies: halts, guardrails, approvals, missing fields.'),
    version: z.int().nullable(),
    effect: z.enum(EFFECTS),
    reason: z.string(),
    paths: z.array(z.string()),
  })
  .meta({ id: 'MatchedRule' });

const decisionView = z
  .object({
    id: uuid().nullable().describe('Null with outcome wait: nothing was recorded.'),
    outcome: z.enum(EFFECTS),
    rules: z.array(ruleView),
    ungoverned: z.boolean().optional().describe('No published policy speaks of this action.'),
    approvalId: uuid().optional(),
    policyVersion: z.int().nullable(),
  })
  .meta({ id: 'Decision' });

const admissionView = z
  .object({
    outcome: z.enum([...EFFECTS, 'wait']),
    decision: decisionView,
    lease: leaseView.optional(),
    conflicts: z.array(conflictView).optional(),
    moreConflicts: z.boolean().optional().describe('With wait: whether more than these is in the way.'),
    free: z.array(z.string()).optional().describe('With wait: the requested paths that nobody holds.'),
    context: contextView,
    replayed: z.boolean().optional().describe('True: given before, to the same Idempotency-Key.'),
  })
  .meta({ id: 'Admission' });

const fields = () =>
  z.record(z.string().max(100), z.union([text(8192, 0), z.number(), z.boolean(), z.array(text(1000, 0)).max(100)]));
/** A hash that the caller makes of what it would write, in whatever form it likes. */
const contentDigest = () => text(200);

const admissionBody = z.strictObject({
  runId: uuid(),
  epoch: speakingEpoch(),
  repo: repoName(),
  action: z.enum(ACTION_NAMES as [ActionName, ...ActionName[]]),
  paths: pathTexts().default([]),
  resources: pathTexts().default([]).describe('Named things that the lease holds as well: port:5432.'),
  command: text(65_536).optional(),
  subject: fields().optional().describe('Further fields of the action, such as service and environment of a deploy.'),
  purpose: purpose().nullish(),
  contentDigest: contentDigest().nullish(),
  lease: z
    .union([
      z.boolean(),
      z.strictObject({
        mode: z.enum(LEASE_MODES).default('exclusive'),
        ttlSeconds: ttlSeconds().default(DEFAULT_WISH.ttlSeconds),
      }),
    ])
    .default(true),
  waitSeconds: waitSeconds(),
});

const decisionBody = z.strictObject({
  action: z.enum(ACTION_NAMES as [ActionName, ...ActionName[]]),
  subject: fields().default({}),
  runId: uuid().nullish(),
});

const tags = ['admission'];

/** `draining` aborts when the server shuts down: answers that are held open are given then. */
export function admissionRoutes(app: App, admissions: AdmissionService, draining: AbortSignal): void {
  const held = new HeldAnswers(draining);
  app.post(
    '/admissions',
    {
      ...plainJson,
      config: { idempotent: true },
      schema: {
        operationId: 'admit',
        tags,
        summary: 'Before an action: guardrails, decision and lease in one call',
        body: admissionBody,
        response: { 200: admissionView },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const subject = { ...body.subject, ...(body.command === undefined ? {} : { command: body.command }) };
      const admission = {
        runId: body.runId,
        epoch: body.epoch,
        repo: body.repo,
        action: body.action,
        parts: partsOf(body.action, subject, body.paths),
        purpose: body.purpose ?? null,
        contentDigest: body.contentDigest ?? null,
        lease: wishOf(body.lease),
        resources: body.resources,
        waitMs: body.waitSeconds * 1000,
      };
      const principal = principalOf(request);
      const idempotent = idempotentOf(request);
      const answer =
        admission.waitMs === 0
          ? await admissions.admit(principal, admission, idempotent)
          : await held.hold(reply, (ended) => admissions.admit(principal, admission, idempotent, ended));
      return answer as unknown as z.output<typeof admissionView>;
    },
  );

  app.post(
    '/decisions',
    {
      ...plainJson,
      config: { idempotent: true },
      schema: {
        operationId: 'decide',
        tags,
        summary: 'One recorded answer to "may I?"',
        body: decisionBody,
        response: { 200: decisionView },
      },
    },
    async (request) => {
      const { action, subject, runId = null } = request.body;
      const { repo, paths, ...rest } = subject;
      const named = repo === undefined ? null : readRepo(repo);
      const list = Array.isArray(paths) ? paths : typeof rest['path'] === 'string' ? [rest['path']] : [];
      const parts = list.length > 0 ? partsOf(action, rest, list) : [{ action, subjects: [rest] }];
      const subjects = (parts[0]?.subjects ?? []).map((one) => (named === null ? one : { ...one, repo: named }));
      const decision = await admissions.decide(
        principalOf(request),
        { action, subjects, repo: named, runId },
        idempotentOf(request),
      );
      return decision as z.output<typeof decisionView>;
    },
  );
}

function wishOf(lease: z.output<typeof admissionBody>['lease']): LeaseWish | null {
  if (lease === false) return null;
  return lease === true ? DEFAULT_WISH : lease;
}

function readRepo(value: unknown): string {
  const read = repoName().safeParse(value);
  if (!read.success) throw invalid('invalid_request', 'body.subject.repo: expected owner/name as the forge writes it');
  return read.data;
}
