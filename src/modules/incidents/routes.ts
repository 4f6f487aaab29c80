import { z } from 'zod';
import { idempotentOf, principalOf } from '../../platform/http/request.ts';
import { pageOf, pageQuery, repoName, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import type { DeployService } from './deploy-service.ts';
import type { IncidentService } from './incident-service.ts';
import { deployBody, deployView, incidentBody, incidentView, wholeDeployView } from './views.ts';

export interface IncidentsServices {
  readonly deploys: DeployService;
  readonly incidents: IncidentService;
}

const tags = ['incidents'];
const byId = z.object({ id: uuid() });
const filter = () =>
  pageQuery().extend({ service: z.string().max(200).optional(), environment: z.string().max(200).optional() });

export function incidentsRoutes(app: App, services: IncidentsServices): void {
  deployRoutes(app, services.deploys);
  incidentRoutes(app, services);
}

function deployRoutes(app: App, deploys: DeployService): void {
  app.post(
    '/deploys',
    {
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

function incidentRoutes(app: App, { incidents }: IncidentsServices): void {
  app.post(
    '/incidents',
    {
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
