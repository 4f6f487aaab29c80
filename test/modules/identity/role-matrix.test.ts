import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { readRoles } from '../../../src/modules/identity/index.ts';
import { ROLES, type Role } from '../../../src/platform/principal.ts';
import { type Caller, ROOT_KEY, startTestServer, type TestServer } from '../../support/server.ts';
import { type Operation, operationsOf, pathToNothing, routesOf } from './operations.ts';

const GOLDEN = path.join(import.meta.dirname, 'role-matrix.golden.txt');
const UPDATE = 'UPDATE_GOLDEN=1 npx vitest run test/modules/identity/role-matrix.test.ts';

/** What is answered without a key of an org. Every new line here is a door: think twice. */
const OPEN = [
  'GET /docs',
  'GET /docs/',
  'GET /docs/*',
  'GET /docs/json',
  'GET /docs/static/index.html',
  'GET /docs/static/swagger-initializer.js',
  'GET /docs/yaml',
  'GET /healthz',
  'GET /metrics',
  'GET /readyz',
  // Checks the key by itself, since it must refuse in the agent's dialect.
  'POST /hooks/claude-code',
];

/** How a refusal for the role is told; OTLP's routes say it as gRPC's PERMISSION_DENIED. */
const FORBIDDEN: ReadonlySet<unknown> = new Set(['forbidden', 7]);

let server: TestServer;
let operations: Operation[];
let callers: Record<Role, Caller>;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  operations = operationsOf(server.signalbox.app);
  const org = await server.newOrg();
  const keys = await Promise.all(ROLES.map(async (role) => [role, await org.key(role)] as const));
  callers = Object.fromEntries(keys) as Record<Role, Caller>;
});
afterAll(() => server?.close());

const roles = readRoles();
const mayCall = (role: Role, operation: Operation) => operation.access === 'key' && roles[role].has(operation.id);

function row(operation: Operation): string {
  const who = {
    public: 'anybody, without a key',
    root: 'the root key',
    key: ROLES.map((role) => (mayCall(role, operation) ? 'yes' : '-').padEnd(7))
      .join('')
      .trimEnd(),
  }[operation.access];
  return `${operation.id.padEnd(24)} ${`${operation.method} ${operation.path}`.padEnd(56)} ${who}`;
}

function matrix(): string {
  const head = `${'operation'.padEnd(24)} ${'call'.padEnd(56)} ${ROLES.map((role) => role.padEnd(7))
    .join('')
    .trimEnd()}`;
  return `${[`# Who may call what. Rewritten by: ${UPDATE}`, head, ...operations.map(row)].join('\n')}\n`;
}

describe('the matrix of roles and operations', () => {
  it('is the one that was agreed on', async () => {
    if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(GOLDEN, matrix());
    expect(matrix(), `If every changed line is meant: ${UPDATE}`).toBe(await readFile(GOLDEN, 'utf8'));
  });

  it.each(ROLES)('is what the server does for %s', async (role) => {
    const wrong: string[] = [];
    for (const operation of operations) {
      const { status, code } = await call(operation, callers[role].secret);
      const expected =
        operation.access === 'root'
          ? status === 401
          : operation.access === 'public' || mayCall(role, operation)
            ? status !== 401 && status < 500 && !FORBIDDEN.has(code)
            : status === 403 && FORBIDDEN.has(code);
      if (!expected) wrong.push(`${operation.id}: ${status} ${String(code)}`);
    }
    expect(wrong).toEqual([]);
  });

  it('does not depend on what else is wrong with a request', async () => {
    const broken = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' };
    const post = (secret: string) =>
      fetch(`${server.url}/api/v1/members`, {
        ...broken,
        headers: { ...broken.headers, authorization: `Bearer ${secret}` },
      });
    expect((await post(callers.viewer.secret)).status).toBe(403);
    expect((await post(callers.admin.secret)).status).toBe(400);
  });

  it('holds for HEAD and for an upgrade as for GET', async () => {
    for (const role of ROLES) {
      const { secret } = callers[role];
      const wanted = roles[role].has('listEvents') ? 200 : 403;
      const headers = { authorization: `Bearer ${secret}` };
      const head = await fetch(`${server.url}/api/v1/events`, { method: 'HEAD', headers });
      expect([role, head.status]).toEqual([role, wanted]);
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/v1/events`, { headers });
      const status = await new Promise((resolve) => {
        socket.on('unexpected-response', (_request, response) => resolve(response.statusCode));
        socket.on('open', () => resolve(200));
        socket.on('error', () => undefined);
      });
      socket.terminate();
      expect([role, status]).toEqual([role, wanted]);
    }
  });
});

describe('without a key', () => {
  it('nothing is answered but what is open on purpose, those that the document hides included', async () => {
    const routes = routesOf(server.signalbox.app).filter((route) => !route.startsWith('HEAD '));
    expect(routes.length).toBeGreaterThan(operations.length);
    const answered: string[] = [];
    for (const route of routes) {
      const [method, template] = route.split(' ') as [string, string];
      const parameters = [...template.matchAll(/:(\w+)/g)].map(([, name]) => ({
        name: name!,
        in: 'path' as const,
        schema: { format: 'uuid' },
      }));
      const asDocumented = template.replaceAll(/:(\w+)/g, '{$1}');
      const status = await send(method, pathToNothing({ path: asDocumented, parameters }), {});
      if (status !== 401) answered.push(route);
    }
    expect(answered).toEqual(OPEN);
  });

  it('an org is created by the root key alone, and that key is no key of an org', async () => {
    for (const operation of operations) {
      const { status } = await call(operation, ROOT_KEY);
      if (operation.access === 'key') expect([operation.id, status]).toEqual([operation.id, 401]);
      if (operation.access === 'root') expect([operation.id, status]).toEqual([operation.id, 422]);
    }
  });
});

async function send(method: string, url: string, headers: Record<string, string>): Promise<number> {
  const response = await fetch(`${server.url}${url}`, { method, headers });
  await response.arrayBuffer();
  return response.status;
}

/** An operation called with nothing in its body, upon what does not exist. */
async function call(operation: Operation, secret: string): Promise<{ status: number; code: unknown }> {
  const withBody = operation.body !== null;
  const response = await fetch(`${server.url}${pathToNothing(operation)}`, {
    method: operation.method,
    headers: { authorization: `Bearer ${secret}`, ...(withBody ? { 'content-type': 'application/json' } : {}) },
    ...(withBody ? { body: '{}' } : {}),
  });
  const { code } = (await response.json()) as { code?: unknown };
  return { status: response.status, code };
}
