import { z } from 'zod';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery, repoName, text, timeInput, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { MAX_FILES } from './report.ts';
import type { ChangeService } from './service.ts';
import { changeView, recordedView, wholeChangeView } from './views.ts';

const tags = ['changes'];

/** A path may have 4096 bytes; a report of 5000 files with ordinary ones has far less than this. */
const REPORT_BYTES = 4 * 1024 * 1024;
const MAX_LEASES = 500;
const MAX_UNDOES = 100;
const INTENT_LENGTH = 4000;

/** The name of a git object, in either object format. */
const objectName = () =>
  z
    .string()
    .regex(/^(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$/, { error: 'expected the 40 or 64 hex digits of a git object' })
    .toLowerCase();

const reportBody = z.strictObject({
  repo: repoName(),
  runId: uuid().nullish(),
  commit: objectName(),
  intent: text(INTENT_LENGTH).nullish().describe('Why: what a person or another loop should know of it.'),
  files: z
    .array(
      z.strictObject({
        path: z.string().max(8192),
        beforeBlob: objectName().nullable().describe('Null: the file was added. Of a submodule: its commit.'),
        afterBlob: objectName().nullable().describe('Null: the file was deleted. Of a submodule: its commit.'),
      }),
    )
    .min(1)
    .max(MAX_FILES),
  filesOmitted: z.int().min(0).max(100_000_000).default(0).describe('Files of the commit that did not fit.'),
  leases: z
    .array(z.strictObject({ id: uuid(), fence: z.int().min(1).max(Number.MAX_SAFE_INTEGER) }))
    .max(MAX_LEASES)
    .default([])
    .describe('The leases it was made under.'),
  undoes: z.array(uuid()).max(MAX_UNDOES).default([]).describe('Changes that this one undoes on purpose.'),
  committedAt: timeInput()
    .nullish()
    .describe('When it was made, if it is reported later: leases are judged by that moment. Never later than now.'),
});

export function changeRoutes(app: App, changes: ChangeService): void {
  app.post(
    '/changes',
    {
      bodyLimit: REPORT_BYTES,
      config: { idempotent: true },
      schema: {
        operationId: 'recordChange',
        tags,
        summary: 'Report what a commit changed, why, and under which leases',
        body: reportBody,
        response: { 200: recordedView.describe('The same report again.'), 201: recordedView },
      },
    },
    async (request, reply) => {
      const { runId = null, intent = null, committedAt, ...rest } = request.body;
      const input = {
        ...rest,
        runId,
        intent,
        committedAt: committedAt === undefined || committedAt === null ? null : new Date(committedAt),
      };
      const answer = await changes.record(principalOf(request), input, idempotentOf(request));
      return reply.code(answer.status as 201).send(answer.body);
    },
  );

  app.get(
    '/changes',
    {
      schema: {
        operationId: 'listChanges',
        tags,
        summary: 'Recorded changes, newest first',
        querystring: pageQuery().extend({
          repo: repoName().optional(),
          path: z.string().max(8192).optional().describe('Literal; needs repo.'),
          runId: uuid().optional(),
          commit: objectName().optional(),
        }),
        response: { 200: pageOf(changeView) },
      },
    },
    async (request) => changes.list(principalOf(request), request.query),
  );

  app.get(
    '/changes/:id',
    {
      schema: {
        operationId: 'getChange',
        tags,
        summary: 'One change with its files',
        params: z.object({ id: uuid() }),
        response: { 200: wholeChangeView },
      },
    },
    async (request) => changes.get(principalOf(request), request.params.id),
  );
}
