import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { takeAsText, YAML_TYPES } from '../../platform/http/json-body.ts';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { documentShape } from './policy/document.ts';
import type { PolicyService } from './policy-service.ts';
import type { PolicySource } from './policy-source.ts';
import {
  draftView,
  policySummaryView,
  policyVersionSummaryView,
  policyVersionView,
  policyView,
  publishedView,
} from './policy-views.ts';

const tags = ['policies'];
const name = documentShape.shape.name;
const params = z.object({ name });
const MAX_VERSION = 2 ** 31 - 1;
const version = z.int().min(1).max(MAX_VERSION);
const expectedVersion = z
  .int()
  .min(0)
  .max(MAX_VERSION)
  .optional()
  .describe('The published version that you saw, 0 for none. Another one is a version_conflict.');

export function policyRoutes(app: App, policies: PolicyService): void {
  draftRoutes(app, policies);
  publishRoutes(app, policies);
  readRoutes(app, policies);
}

function draftRoutes(app: App, policies: PolicyService): void {
  // In a scope of its own, where JSON arrives as the text it is: its mistakes are told with lines and columns.
  void app.register(async (child) => {
    const scope = child as App;
    scope.removeContentTypeParser('application/json');
    takeAsText(scope, ['application/json', ...YAML_TYPES]);
    scope.put(
      '/policies/:name/draft',
      {
        schema: {
          operationId: 'putPolicyDraft',
          tags,
          summary: 'Replace the draft of a policy; what is published stays in force',
          description: 'The document as JSON, or as YAML with the content type application/yaml.',
          consumes: ['application/json', 'application/yaml'],
          params,
          body: z.unknown(),
          response: { 200: draftView },
        },
      },
      async (request) => policies.putDraft(principalOf(request), request.params.name, sourceOf(request)),
    );
  });
}

function sourceOf(request: FastifyRequest): PolicySource {
  const isJson = /^\s*application\/json\b/i.test(request.headers['content-type'] ?? '');
  return { text: typeof request.body === 'string' ? request.body : '', format: isJson ? 'json' : 'yaml' };
}

function publishRoutes(app: App, policies: PolicyService): void {
  app.post(
    '/policies/:name/publish',
    {
      config: { idempotent: true },
      schema: {
        operationId: 'publishPolicy',
        tags,
        summary: 'Put the draft in force as the next version; once answered, nothing is decided under the old one',
        params,
        body: z.strictObject({ expectedVersion }).nullish(),
        response: { 200: publishedView },
      },
    },
    async (request) => {
      const idempotent = idempotentOf(request);
      const answer = await policies.publish(principalOf(request), request.params.name, request.body ?? {}, idempotent);
      return answer.body;
    },
  );
  app.post(
    '/policies/:name/rollback',
    {
      config: { idempotent: true },
      schema: {
        operationId: 'rollbackPolicy',
        tags,
        summary: "Publish an old version's document again, as a new version",
        params,
        body: z.strictObject({ toVersion: version, expectedVersion }),
        response: { 200: publishedView },
      },
    },
    async (request) => {
      const idempotent = idempotentOf(request);
      const answer = await policies.rollback(principalOf(request), request.params.name, request.body, idempotent);
      return answer.body;
    },
  );
}

function readRoutes(app: App, policies: PolicyService): void {
  app.get(
    '/policies',
    {
      schema: {
        operationId: 'listPolicies',
        tags,
        summary: 'Policies of the org, by name',
        querystring: pageQuery(),
        response: { 200: pageOf(policySummaryView) },
      },
    },
    async (request) => policies.list(principalOf(request), request.query),
  );
  app.get(
    '/policies/:name',
    {
      schema: {
        operationId: 'getPolicy',
        tags,
        summary: 'One policy: its draft and what is published',
        params,
        response: { 200: policyView },
      },
    },
    async (request) => policies.get(principalOf(request), request.params.name),
  );
  app.get(
    '/policies/:name/versions',
    {
      schema: {
        operationId: 'listPolicyVersions',
        tags,
        summary: 'Published versions of a policy, newest first',
        params,
        querystring: pageQuery(),
        response: { 200: pageOf(policyVersionSummaryView) },
      },
    },
    async (request) => policies.versions(principalOf(request), request.params.name, request.query),
  );
  app.get(
    '/policies/:name/versions/:version',
    {
      schema: {
        operationId: 'getPolicyVersion',
        tags,
        summary: 'One published version of a policy',
        params: z.object({ name, version: z.coerce.number().int().min(1).max(MAX_VERSION) }),
        response: { 200: policyVersionView },
      },
    },
    async (request) => {
      const { name: policy, version: number } = request.params;
      return policies.version(principalOf(request), policy, number);
    },
  );
}
