import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { inject } from 'vitest';

export interface TestDatabase {
  /** For the server's superuser; connections become `signalbox_app` by themselves where the product makes them so. */
  readonly url: string;
  readonly name: string;
  /** Ends every connection to it, too. */
  drop(): Promise<void>;
}

const IN_USE = '55006';
const CLONE_ATTEMPTS = 20;
const RETRY_AFTER_MS = 100;

/** A migrated database of one's own: one for a test file, made in its `beforeAll`, dropped in its `afterAll`. */
export function createTestDatabase(): Promise<TestDatabase> {
  return create(`TEMPLATE ${inject('testTemplate')}`);
}

/** A database without any migration, for tests of migrations. `owner` is a role that exists. */
export function createEmptyDatabase(owner?: string): Promise<TestDatabase> {
  return create(`TEMPLATE template0 ${owner === undefined ? '' : `OWNER ${pg.escapeIdentifier(owner)}`}`);
}

/** Runs statements as the test server's superuser, in its maintenance database. */
export async function onTestServer<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(inject('testServerUrl'), use);
}

/** Connects, and disconnects whatever happens. */
export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function create(source: string): Promise<TestDatabase> {
  const name = `signalbox_test_${randomBytes(8).toString('hex')}`;
  await onTestServer((client) => clone(client, `CREATE DATABASE ${name} ${source}`));
  const url = new URL(inject('testServerUrl'));
  url.pathname = `/${name}`;
  return {
    url: url.href,
    name,
    drop: () =>
      onTestServer(async (client) => void (await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))),
  };
}

/** Autovacuum may look into a template at any moment, and a template that is looked into cannot be cloned. */
async function clone(client: pg.Client, statement: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(statement);
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== IN_USE || attempt === CLONE_ATTEMPTS) throw error;
      await sleep(RETRY_AFTER_MS);
    }
  }
}
