import { z } from 'zod';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { emptyBody, pageOf, pageQuery, timeInput, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { ROLES } from '../../platform/principal.ts';
import type { ApiKeyService } from './api-keys.ts';
import type { OrgService } from './orgs.ts';
import type { PeopleService } from './people.ts';
import { orgSettings, orgSettingsPatch } from './settings.ts';
import { apiKeyView, memberView, name, newApiKeyView, orgView, slug, teamView } from './views.ts';

export interface IdentityServices {
  readonly orgs: OrgService;
  readonly people: PeopleService;
  readonly apiKeys: ApiKeyService;
}

const tags = ['identity'];
const idParam = z.object({ id: uuid() });
const membership = z.object({ id: uuid(), memberId: uuid() });

export function identityRoutes(app: App, { orgs, people, apiKeys }: IdentityServices): void {
  app.post(
    '/orgs',
    {
      config: { access: 'root', idempotent: 'holds-secret' },
      schema: {
        operationId: 'createOrg',
        tags,
        summary: 'Create an org with its first admin key',
        security: [{ rootKey: [] }],
        body: z.strictObject({ slug: slug(), name: name() }),
        response: { 201: z.object({ org: orgView, apiKey: newApiKeyView }) },
      },
    },
    async (request, reply) => {
      const { status, body } = await orgs.create(request.body, idempotentOf(request));
      return reply.code(status as 201).send(body);
    },
  );

  app.get(
    '/org',
    { schema: { operationId: 'getOrg', tags, summary: 'The org of this key', response: { 200: orgView } } },
    async (request) => orgs.get(principalOf(request)),
  );

  app.patch(
    '/org/settings',
    {
      schema: {
        operationId: 'patchOrgSettings',
        tags,
        summary: "Change the org's settings",
        body: orgSettingsPatch,
        response: { 200: orgSettings },
      },
    },
    async (request) => orgs.patchSettings(principalOf(request), request.body),
  );

  memberRoutes(app, people);
  teamRoutes(app, people);
  apiKeyRoutes(app, apiKeys);
}

function memberRoutes(app: App, people: PeopleService): void {
  const body = z.strictObject({
    name: name(),
    email: z.email().max(320).toLowerCase(),
    teams: z.array(uuid()).max(100).default([]),
  });
  app.post(
    '/members',
    {
      config: { idempotent: true },
      schema: { operationId: 'createMember', tags, summary: 'Add a member', body, response: { 201: memberView } },
    },
    async (request, reply) => {
      const answer = await people.createMember(principalOf(request), request.body, idempotentOf(request));
      return reply.code(answer.status as 201).send(answer.body);
    },
  );
  app.get(
    '/members',
    {
      schema: {
        operationId: 'listMembers',
        tags,
        summary: 'Members of the org',
        querystring: pageQuery(),
        response: { 200: pageOf(memberView) },
      },
    },
    async (request) => people.listMembers(principalOf(request), request.query),
  );
}

function teamRoutes(app: App, people: PeopleService): void {
  app.post(
    '/teams',
    {
      config: { idempotent: true },
      schema: {
        operationId: 'createTeam',
        tags,
        summary: 'Add a team',
        body: z.strictObject({ name: name() }),
        response: { 201: teamView },
      },
    },
    async (request, reply) => {
      const answer = await people.createTeam(principalOf(request), request.body, idempotentOf(request));
      return reply.code(answer.status as 201).send(answer.body);
    },
  );
  app.get(
    '/teams',
    {
      schema: {
        operationId: 'listTeams',
        tags,
        summary: 'Teams of the org',
        querystring: pageQuery(),
        response: { 200: pageOf(teamView) },
      },
    },
    async (request) => people.listTeams(principalOf(request), request.query),
  );
  app.put(
    '/teams/:id/members/:memberId',
    {
      schema: {
        operationId: 'addTeamMember',
        tags,
        summary: 'Put a member into a team',
        params: membership,
        body: emptyBody(),
        response: { 200: teamView },
      },
    },
    async (request) => people.addToTeam(principalOf(request), request.params.id, request.params.memberId),
  );
  app.delete(
    '/teams/:id/members/:memberId',
    {
      schema: {
        operationId: 'removeTeamMember',
        tags,
        summary: 'Take a member out of a team',
        params: membership,
        response: { 200: teamView },
      },
    },
    async (request) => people.removeFromTeam(principalOf(request), request.params.id, request.params.memberId),
  );
}

function apiKeyRoutes(app: App, apiKeys: ApiKeyService): void {
  const body = z.strictObject({
    name: name(),
    role: z.enum(ROLES),
    memberId: uuid().nullish(),
    loopId: uuid().nullish(),
    expiresAt: timeInput().nullish(),
  });
  app.post(
    '/api-keys',
    {
      config: { idempotent: 'holds-secret' },
      schema: {
        operationId: 'createApiKey',
        tags,
        summary: 'Create an API key; its secret is shown once',
        body,
        response: { 201: newApiKeyView },
      },
    },
    async (request, reply) => {
      const { memberId = null, loopId = null, expiresAt, ...rest } = request.body;
      const input = { ...rest, memberId, loopId, expiresAt: expiresAt == null ? null : new Date(expiresAt) };
      const answer = await apiKeys.create(principalOf(request), input, idempotentOf(request));
      return reply.code(answer.status as 201).send(answer.body);
    },
  );
  app.get(
    '/api-keys',
    {
      schema: {
        operationId: 'listApiKeys',
        tags,
        summary: 'API keys, without their secrets',
        querystring: pageQuery(),
        response: { 200: pageOf(apiKeyView) },
      },
    },
    async (request) => apiKeys.list(principalOf(request), request.query),
  );
  app.delete(
    '/api-keys/:id',
    {
      schema: {
        operationId: 'revokeApiKey',
        tags,
        summary: 'Revoke an API key at once',
        params: idParam,
        response: { 200: apiKeyView },
      },
    },
    async (request) => apiKeys.revoke(principalOf(request), request.params.id),
  );
}
