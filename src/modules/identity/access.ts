import type { FastifyRequest } from 'fastify';
import { forbidden, unauthenticated } from '../../platform/errors.ts';
import { bearerOf } from '../../platform/http/request.ts';
import type { App } from '../../platform/http/server.ts';
import type { Authenticator } from './authenticator.ts';
import { checkRoles, type RoleTable } from './roles.ts';
import { sameSecret } from './secret.ts';

export interface AccessDeps {
  readonly authenticator: Authenticator;
  readonly roles: RoleTable;
  /** Unset: operations of the root key answer 403. */
  readonly rootKey: string | undefined;
}

/**
 * Puts authentication and the role check before every route, by the route's declared access, never by its URL. Runs
 * before the body is read. At start, the roles are held against the operations that were registered.
 */
export function controlAccess(app: App, deps: AccessDeps): void {
  const operations = new Set<string>();
  app.decorateRequest('principal', null);
  app.addHook('onRoute', (route) => {
    const operationId = route.schema?.operationId;
    if ((route.config?.access ?? 'org') !== 'org' || operationId === undefined) return;
    operations.add(operationId);
  });
  app.addHook('onReady', async () => checkRoles(deps.roles, operations));
  app.addHook('onRequest', async (request) => admit(request, deps));
}

async function admit(request: FastifyRequest, deps: AccessDeps): Promise<void> {
  if (request.is404) return;
  const access = request.routeOptions.config.access ?? 'org';
  switch (access) {
    case 'public':
    case 'agent-hook':
      return;
    case 'root':
      return checkRootKey(bearerOf(request), deps.rootKey);
    case 'org': {
      request.principal = await deps.authenticator.authenticate(bearerOf(request));
      const operationId = request.routeOptions.schema?.operationId;
      if (operationId === undefined || !deps.roles[request.principal.role].has(operationId)) {
        throw forbidden(`The role ${request.principal.role} does not have ${operationId ?? 'this operation'}.`);
      }
    }
  }
}

function checkRootKey(token: string | null, rootKey: string | undefined): void {
  if (rootKey === undefined) throw forbidden('This server has no root key: set SIGNALBOX_ROOT_KEY.', 'root_key_unset');
  if (token === null || !sameSecret(token, rootKey)) throw unauthenticated('This operation takes the root key.');
}
