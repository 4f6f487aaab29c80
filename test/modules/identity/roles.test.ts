import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { Authenticator, controlAccess, type RoleTable, readRoles } from '../../../src/modules/identity/index.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { CommitSignal } from '../../../src/platform/database/commit-signal.ts';
import { Database } from '../../../src/platform/database/database.ts';
import { type App, createHttpServer } from '../../../src/platform/http/server.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { ROLES } from '../../../src/platform/principal.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;
let folder: string;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  folder = await mkdtemp(path.join(tmpdir(), 'signalbox-roles-'));
});
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The committed table, changed. */
async function rolesWith(change: (table: Record<string, unknown>) => void): Promise<() => RoleTable> {
  const table = parse(await readFile('policies/roles.yaml', 'utf8')) as Record<string, unknown>;
  change(table);
  const file = path.join(folder, 'roles.yaml');
  await writeFile(file, stringify(table));
  return () => readRoles(file);
}

/** A server with the operations given, under real access control; ready unless the roles do not fit. */
async function serving(roles: RoleTable, operations: readonly (string | undefined)[]): Promise<App> {
  const logger = createLogger({ level: 'fatal' });
  const app = await createHttpServer({ logger, version: '0.0.0-test' });
  const { ordinary, listener } = server.pools;
  const database = new Database(ordinary, new CommitSignal(listener, ordinary, logger));
  controlAccess(app, { authenticator: new Authenticator(ordinary, database, systemClock), roles, rootKey: undefined });
  operations.forEach((operationId, i) => {
    app.get(`/${i}`, { schema: operationId === undefined ? {} : { operationId } }, async () => ({ done: true }));
  });
  await app.ready();
  return app;
}

const table = (admin: string[], viewer: string[] = []) =>
  Object.fromEntries(
    ROLES.map((role) => [role, new Set(role === 'admin' ? admin : role === 'viewer' ? viewer : [])]),
  ) as unknown as RoleTable;

describe('the start', () => {
  it('goes on when every operation has a role and every name is an operation', async () => {
    const app = await serving(table(['look', 'touch'], ['look']), ['look', 'touch']);
    await app.close();
  });

  it('is refused for operations that no role may call, naming them all', async () => {
    await expect(serving(table(['look']), ['look', 'touch', 'take'])).rejects.toThrow(
      'policies/roles.yaml: no role may call touch, take',
    );
  });

  it('is refused for names that are no operation, naming them all', async () => {
    await expect(serving(table(['look', 'lok'], ['seee']), ['look'])).rejects.toThrow(
      'policies/roles.yaml: no such operation: lok, seee',
    );
  });
});

describe('the file', () => {
  it('is refused when a role is missing, unknown or no list', async () => {
    const faults: ((table: Record<string, unknown>) => void)[] = [
      (roles) => delete roles['sre'],
      (roles) => void (roles['root'] = ['getOrg']),
      (roles) => void (roles['viewer'] = 'getOrg'),
      (roles) => void (roles['viewer'] = { getOrg: true }),
      (roles) => void (roles['viewer'] = [7]),
    ];
    for (const fault of faults) expect(await rolesWith(fault)).toThrow();
    expect((await rolesWith(() => undefined))()).toEqual(readRoles());
  });
});

describe('a route that no operation stands for', () => {
  it('answers nobody, whatever the role', async () => {
    const org = await server.newOrg();
    const app = await serving(table(['look']), ['look', undefined]);
    const headers = { authorization: `Bearer ${org.admin.secret}` };
    expect((await app.inject({ url: '/0', headers })).statusCode).toBe(200);
    expect((await app.inject({ url: '/1', headers })).statusCode).toBe(403);
    expect((await app.inject({ url: '/1' })).statusCode).toBe(401);
    await app.close();
  });
});
