import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { buildServer } from '../../faults/rig/build.ts';
import { temporaryFolder } from '../../faults/rig/folder.ts';
import { startEmbeddedPostgres } from '../../src/platform/database/embedded.ts';
import { migrate } from '../../src/platform/database/migrate.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A login that may create databases. */
    testServerUrl: string;
    /** The migrated database that each test file clones. */
    testTemplate: string;
    /** The folder of the compiled product: `main.js` and `cli.js`. A process starts from it in half the time. */
    testBuild: string;
  }
}

const quiet = { info: () => {}, warn: () => {} };

interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * One PostgreSQL for the whole run: `TEST_DATABASE_URL` (a superuser's) if set, else an embedded one in a temporary
 * folder. That one does not wait for the disk unless TEST_DATABASE_DURABLE=1; a commit outlives killed processes either
 * way. If this process is killed, its watchdog stops PostgreSQL, and the next run removes the folder.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await temporaryFolder();
  try {
    // The workers are started after this: what a test leaves in its temporary folder, also one that was killed, goes with ours.
    process.env['TMPDIR'] = path.join(folder.path, 'tests');
    await mkdir(process.env['TMPDIR']);
    await chmod(process.env['TMPDIR'], 0o1777);
    const [main, endDatabase] = await Promise.all([buildServer(folder.path), setUpDatabase(project, folder.path)]);
    project.provide('testBuild', path.dirname(main));
    return async () => {
      await endDatabase();
      await folder.remove();
    };
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

async function setUpDatabase(project: TestProject, folder: string): Promise<() => Promise<void>> {
  const given = process.env['TEST_DATABASE_URL'];
  const server: Server = given === undefined ? await startTemporary(folder) : { url: given, stop: async () => {} };
  const template = `signalbox_template_${process.pid}_${Date.now()}`;
  try {
    await execute(server.url, `CREATE DATABASE ${template} TEMPLATE template0`);
    await migrate({ url: databaseUrl(server.url, template), log: quiet, variable: 'TEST_DATABASE_URL' });
    // Nobody can be connected to it while it is cloned, which PostgreSQL would refuse.
    await execute(server.url, `ALTER DATABASE ${template} ALLOW_CONNECTIONS false`);
  } catch (error) {
    await server.stop();
    throw error;
  }
  project.provide('testServerUrl', server.url);
  project.provide('testTemplate', template);
  return async () => {
    if (given !== undefined) await execute(server.url, `DROP DATABASE ${template}`);
    await server.stop();
  };
}

function startTemporary(folder: string): Promise<Server> {
  const durable = process.env['TEST_DATABASE_DURABLE'] === '1';
  return startEmbeddedPostgres({ dataDir: path.join(folder, 'database'), log: quiet, durable });
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function databaseUrl(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}
