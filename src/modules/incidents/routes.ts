import { z } from 'zod';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery, repoName, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import type { DeployService } from './deploy-service.ts';
import type { IncidentService } from './incident-service.ts';
import { reportOf } from './report.ts';
import type { SuspectService } from './suspect-service.ts';
import { suspectsView } from './suspect-views.ts';
import { deployBody, deployView, incidentBody, incidentView, wholeDeployView } from './views.ts';

export interface IncidentsServices {
  readonly deploys: DeployService;
  readonly incidents: IncidentService;
  readonly suspects: SuspectService;
}

const tags = ['incidents'];
const byId = z.object({ id: uuid() });
const filter = () =>
  pageQuery().extend({ service: z.string().max(200).optional(), environment: z.string().max(200).optional() });

export function incidentsRoutes(app: App, services: IncidentsServices): void {
  deployRoutes(app, services.deploys);
  incidentRoutes(app, services.incidents);
  suspectRoutes(app, services.suspects);
}

function deployRoutes(app: App, deploys: DeployService): void {
  app.post(
    '/deploys',
    {
      config: { idempotent: true },
      schema: {
        operationId: 'recordDeploy',
        tags,
        summary: 'Tell what went out where; which recorded changes it brought is found',
        body: deployBody,
        response: { 201: deployView },
      },
    },
    async (request, reply) => {
      const answer = await deploys.record(principalOf(request), request.body, idempotentOf(request));
      return reply.code(answer.status as 201).send(answer.body);
    },
  );

  app.get(
    '/deploys',
    {
      schema: {
        operationId: 'listDeploys',
        tags,
        summary: 'Deploys, those recorded last first',
        querystring: filter().extend({ repo: repoName().optional() }),
        response: { 200: pageOf(deployView) },
      },
    },
    async (request) => deploys.list(principalOf(request), request.query),
  );

  app.get(
    '/deploys/:id',
    {
      schema: {
        operationId: 'getDeploy',
        tags,
        summary: 'One deploy with the changes that it brought, at most 500',
        params: byId,
        response: { 200: wholeDeployView },
      },
    },
    async (request) => deploys.get(principalOf(request), request.params.id),
  );
}

function incidentRoutes(app: App, incidents: IncidentService): void {
  app.post(
    '/incidents',
    {
      config: { idempotent: true },
      schema: {
        operationId: 'openIncident',
        tags,
        summary: 'Open an incident with what is known of where it broke',
        body: incidentBody,
        response: { 201: incidentView },
      },
    },
    async (request, reply) => {
      const answer = await incidents.open(principalOf(request), request.body, idempotentOf(request));
      return reply.code(answer.status as 201).send(answer.body);
    },
  );

  app.get(
    '/incidents',
    {
      schema: {
        operationId: 'listIncidents',
        tags,
        summary: 'Incidents, newest first',
        querystring: filter(),
        response: { 200: pageOf(incidentView) },
      },
    },
    async (request) => incidents.list(principalOf(request), request.query),
  );

  app.get(
    '/incidents/:id',
    {
      schema: {
        operationId: 'getIncident',
        tags,
        summary: 'One incident',
        params: byId,
        response: { 200: incidentView },
      },
    },
    async (request) => incidents.get(principalOf(request), request.params.id),
  );
}

const suspectQuery = z.object({
  windowHours: z.coerce
    .number()
    .int()
    .min(1)
    .max(24 * 90)
    .default(24 * 7)
    .describe('How long before the incident a deploy is looked for.'),
  limit: z.coerce.number().int().min(1).max(500).default(50),
});

function suspectRoutes(app: App, suspects: SuspectService): void {
  app.get(
    '/incidents/:id/suspects',
    {
      schema: {
        operationId: 'listSuspects',
        tags,
        summary: 'Deployed changes ranked as the possible cause, each with every term and the chain behind it',
        params: byId,
        querystring: suspectQuery,
        response: { 200: suspectsView },
      },
    },
    async (request) => (await suspects.find(principalOf(request), request.params.id, request.query)).suspects,
  );

  app.get(
    '/incidents/:id/report',
    {
      schema: {
        operationId: 'getIncidentReport',
        tags,
        summary: 'The incident, its timeline and its first suspects in Markdown',
        params: byId,
        querystring: suspectQuery.extend({ limit: suspectQuery.shape.limit.default(10) }),
        response: { 200: { description: 'Markdown.', content: { 'text/markdown': { schema: z.string() } } } },
      },
    },
    async (request, reply) => {
      const { incident, suspects: found } = await suspects.find(principalOf(request), request.params.id, request.query);
      return reply.type('text/markdown; charset=utf-8').send(reportOf(incident, found));
    },
  );
}
