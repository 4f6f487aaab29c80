import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { createSchemaEngine, NO_FILTERS } from '../../../src/platform/database/migrate/engine.ts';
import { COMMITTED } from '../../../src/platform/database/migrate/script.ts';
import { MIGRATIONS_DIRECTORY, migrate } from '../../../src/platform/database/migrate.ts';
import {
  createEmptyDatabase,
  createTestDatabase,
  onTestServer,
  type TestDatabase,
  withClient,
} from '../../support/database.ts';
import { runFixture } from './fixtures/process.ts';

let database: TestDatabase;
let directory: string;
let messages: string[];
let cleanups: (() => Promise<unknown>)[];

const note = (_fields: object, message: string) => void messages.push(message);
const log = { info: note, warn: note };

beforeEach(async () => {
  database = await createEmptyDatabase();
  directory = await mkdtemp(path.join(tmpdir(), 'signalbox-migrations-'));
  await writeFile(path.join(directory, 'migration_lock.toml'), 'provider = "postgresql"\n');
  messages = [];
  cleanups = [];
});

afterEach(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup();
  await database.drop();
  await rm(directory, { recursive: true, force: true });
});

async function script(name: string, sql: string): Promise<void> {
  await mkdir(path.join(directory, name), { recursive: true });
  await writeFile(path.join(directory, name, 'migration.sql'), sql);
}

const query = (sql: string, values: unknown[] = []) =>
  withClient(database.url, async (client) => (await client.query(sql, values)).rows);
const run = () => migrate({ url: database.url, log, directory });
const rows = () =>
  query(`SELECT migration_name AS name, finished_at IS NOT NULL AS finished, rolled_back_at IS NOT NULL AS rolled_back
    FROM _prisma_migrations ORDER BY started_at, id`);
const finished = (name: string) => ({ name, finished: true, rolled_back: false });
const rolledBack = (name: string) => ({ name, finished: false, rolled_back: true });
const exists = async (table: string) => (await query('SELECT to_regclass($1) IS NOT NULL AS is', [table]))[0].is;

describe('applying', () => {
  test('what is lacking is applied in order, and once', async () => {
    await script('0002_b', 'INSERT INTO a VALUES (2);');
    await script('0001_a', 'CREATE TABLE a (n int); INSERT INTO a VALUES (1);');
    await run();
    await run();
    await script('0003_c', 'INSERT INTO a VALUES (3);');
    await run();
    expect(await query('SELECT n FROM a ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(await rows()).toEqual(['0001_a', '0002_b', '0003_c'].map(finished));
  });

  test('a semicolon in a body, a string or a comment does not cut a script', async () => {
    await script(
      '0001_a',
      `-- a; comment
      CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 'x;y'; END $$;
      CREATE TABLE a (t text DEFAULT ';') -- the end; without a semicolon`,
    );
    await run();
    expect(await query('SELECT f()')).toEqual([{ f: 'x;y' }]);
  });

  test("a script's tables are in the schema that the server looks into, whatever the login's path is", async () => {
    await query(`CREATE SCHEMA elsewhere`);
    await query(`ALTER DATABASE ${database.name} SET search_path = elsewhere`);
    await script('0001_a', 'CREATE TABLE a (n int);');
    await run();
    await run();
    expect(await exists('public.a')).toBe(true);
  });

  test('a table that somebody reads for long is waited for a second at a time, so that others get at it meanwhile', async () => {
    await script('0001_a', 'CREATE TABLE a (n int);');
    await run();
    await script('0002_b', 'ALTER TABLE a ADD COLUMN m int;');
    await withClient(database.url, async (reader) => {
      await reader.query('BEGIN; SELECT FROM a');
      const migrated = run();
      const waiting = () => query(`SELECT FROM pg_locks WHERE relation = 'a'::regclass AND NOT granted`);
      await expect.poll(waiting, { timeout: 20_000 }).toHaveLength(1);
      // Behind the migration in the queue, and not for as long as the reader is at it.
      await query(`SET lock_timeout = '15s'; SELECT FROM a`);
      await reader.query('COMMIT');
      await migrated;
    });
    expect(await rows()).toEqual(['0001_a', '0002_b'].map(finished));
  });

  test('a database that cannot keep every text is refused before anything is made in it', async () => {
    const name = `${database.name}_latin1`;
    await onTestServer((client) =>
      client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc`),
    );
    cleanups.push(() => onTestServer((client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`)));
    const url = new URL(database.url);
    url.pathname = `/${name}`;
    await expect(migrate({ url: url.href, log, directory })).rejects.toThrow(
      /^DATABASE_URL: .* LATIN1, .*ENCODING 'UTF8'$/,
    );
  });

  test('servers that start together take turns', async () => {
    await script('0001_a', 'SELECT pg_sleep(0.3); CREATE TABLE a (n int);');
    await script('0002_b', 'INSERT INTO a VALUES (1);');
    await Promise.all([run(), run(), run(), run()]);
    expect(await query('SELECT n FROM a')).toEqual([{ n: 1 }]);
    expect(await rows()).toEqual([finished('0001_a'), finished('0002_b')]);
  });

  test('a server that waits too long for its turn gives up', async () => {
    await script('0001_a', 'SELECT pg_sleep(1.5);');
    const slow = run();
    await expect.poll(() => exists('_prisma_migrations')).toBe(true);
    await expect(migrate({ url: database.url, log, directory, waitSeconds: 0.1 })).rejects.toMatchObject({
      name: 'MigrationError',
      reason: 'busy',
    });
    await slow;
  });
});

describe('the history that is found', () => {
  test('a refused migration is rolled back whole, and tried again when it has been put right', async () => {
    await script('0001_a', 'CREATE TABLE a (n int);');
    await script('0002_b', 'CREATE TABLE b (n int); INSERT INTO nowhere VALUES (1);');
    await expect(run()).rejects.toMatchObject({
      reason: 'failed',
      message: 'migration 0002_b was refused and rolled back: relation "nowhere" does not exist',
    });
    expect([await exists('a'), await exists('b')]).toEqual([true, false]);
    await script('0002_b', 'CREATE TABLE b (n int);');
    await run();
    expect(await rows()).toEqual([finished('0001_a'), rolledBack('0002_b'), finished('0002_b')]);
  });

  test('a migration that was changed after it was applied is refused', async () => {
    await script('0001_a', 'CREATE TABLE a (n int);');
    await run();
    await script('0001_a', 'CREATE TABLE a (n bigint);');
    await script('0002_b', 'CREATE TABLE b (n int);');
    await expect(run()).rejects.toMatchObject({ reason: 'modified', message: expect.stringMatching(/0001_a$/) });
    expect(await exists('b')).toBe(false);
  });

  test('a database of a later version is left alone', async () => {
    await script('0001_a', 'CREATE TABLE a (n int);');
    await script('0002_b', 'CREATE TABLE b (n int);');
    await run();
    await rm(path.join(directory, '0002_b'), { recursive: true });
    await run();
    expect(messages).toContain('the database was migrated by a later version');
  });

  test('a database of another line of versions is refused', async () => {
    await script('0001_a', 'CREATE TABLE a (n int);');
    await script('0002_b', 'CREATE TABLE b (n int);');
    await run();
    await rm(path.join(directory, '0002_b'), { recursive: true });
    await script('0003_c', 'CREATE TABLE c (n int);');
    await expect(run()).rejects.toMatchObject({ reason: 'diverged', message: expect.stringMatching(/0002_b.*0003_c/) });
  });

  test('somebody else’s tables are not touched', async () => {
    await query('CREATE TABLE theirs (n int)');
    await script('0001_a', 'CREATE TABLE a (n int);');
    await expect(run()).rejects.toMatchObject({ reason: 'foreign' });
    expect(await exists('a')).toBe(false);
  });
});

describe('after a kill', () => {
  test('PostgreSQL still commits the script that it had been sent, and the next start waits for that', async () => {
    await script('0001_a', 'SELECT pg_sleep(2); CREATE TABLE a (n int);');
    const fixture = runFixture('migrating-server.ts', [database.url, directory]);
    cleanups.push(fixture.kill);
    const sleeping = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'`;
    await expect.poll(() => query(sleeping), { timeout: 20_000 }).toHaveLength(1);
    await fixture.kill();
    expect(await exists('a')).toBe(false);
    await run();
    expect(await exists('a')).toBe(true);
    expect(await rows()).toEqual([rolledBack('0001_a'), finished('0001_a')]);
    expect(messages).toContain('a migration was interrupted; its state has been settled');
  });

  test('a script that was rolled back is applied', async () => {
    await script('0001_a', 'CREATE TABLE a (n int);');
    await run();
    await query('UPDATE _prisma_migrations SET finished_at = NULL, logs = NULL, applied_steps_count = 0');
    await query('DROP TABLE a');
    await run();
    expect(await exists('a')).toBe(true);
  });

  test('a script says that it has committed in its own transaction', async () => {
    await script('0001_a', 'CREATE TABLE a (n int);');
    await run();
    expect(await query('SELECT logs FROM _prisma_migrations')).toEqual([{ logs: COMMITTED }]);
  });
});

/** The real migrations with a role of their own: roles belong to the cluster, and here nobody has made it yet. */
async function realMigrations(): Promise<{ role: string }> {
  const role = `signalbox_app_${randomBytes(6).toString('hex')}`;
  const sql = await readFile(path.join(MIGRATIONS_DIRECTORY, '0001_init/migration.sql'), 'utf8');
  await script('0001_init', sql.replaceAll('signalbox_app', role));
  cleanups.push(() => onTestServer((client) => client.query(`DROP ROLE IF EXISTS ${role}`)));
  return { role };
}

/** A login with these attributes that owns an empty database. */
async function ownedDatabase(attributes: string): Promise<{ url: string; login: string }> {
  const login = `signalbox_login_${randomBytes(6).toString('hex')}`;
  await onTestServer((client) =>
    client.query(`CREATE ROLE ${login} LOGIN PASSWORD 'secret-of-the-login' ${attributes}`),
  );
  cleanups.push(() => onTestServer((client) => client.query(`DROP ROLE ${login}`)));
  const owned = await createEmptyDatabase(login);
  cleanups.push(owned.drop);
  const url = new URL(owned.url);
  [url.username, url.password] = [login, 'secret-of-the-login'];
  return { url: url.href, login };
}

const becomes = (url: string, role: string) =>
  withClient(url, async (client) => {
    await client.query(`SET ROLE ${role}`);
    return (await client.query('SELECT current_user AS user')).rows[0].user;
  });

describe('the role', () => {
  test('is made once when several databases of a cluster are migrated at once', async () => {
    const { role } = await realMigrations();
    const databases = await Promise.all(Array.from({ length: 4 }, () => createEmptyDatabase()));
    for (const { drop } of databases) cleanups.push(drop);
    await Promise.all(databases.map(({ url }) => migrate({ url, log, directory })));
    for (const { url } of databases) expect(await becomes(url, role)).toBe(role);
  });

  test('can be set by an owner who is no superuser and may create roles', async () => {
    const { role } = await realMigrations();
    const { url, login } = await ownedDatabase('CREATEROLE');
    // The real role exists in this cluster already; the one of this test does not.
    await onTestServer((client) => client.query(`GRANT signalbox_app TO ${login}`));
    await migrate({ url, log, directory });
    expect(await becomes(url, role)).toBe(role);
  });

  test('can be set by an owner without any right who was granted it', async () => {
    const { url, login } = await ownedDatabase('');
    await onTestServer((client) => client.query(`GRANT signalbox_app TO ${login}`));
    await migrate({ url, log });
    expect(await becomes(url, 'signalbox_app')).toBe('signalbox_app');
    const startup = new pg.Client({ connectionString: url, options: '-c role=signalbox_app' });
    await startup.connect();
    try {
      expect((await startup.query('SELECT current_user AS user')).rows).toEqual([{ user: 'signalbox_app' }]);
    } finally {
      await startup.end();
    }
  });
});

describe('errors name the variable and the remedy, not the password', () => {
  const failure = (url: string) =>
    migrate({ url, log, variable: 'MIGRATE_DATABASE_URL' }).catch((error: unknown) => error as Error);
  const changed = (change: (url: URL) => void) => {
    const url = new URL(inject('testServerUrl'));
    url.password ||= 'secret-of-the-server';
    change(url);
    return url.href;
  };

  test.each([
    ['nobody listens', changed((url) => (url.port = '1')), /is not reachable: connect ECONNREFUSED/],
    ['a host that is none', changed((url) => (url.hostname = 'none.invalid')), /is not reachable: .*none\.invalid/],
    ['a login that is none', changed((url) => (url.username = 'none')), /refuses the login "none": /],
    ['no such database', changed((url) => (url.pathname = '/none')), /has no database "none"; create it first$/],
  ])('%s', async (_, url, expected) => {
    const error = await failure(url);
    expect(error).toMatchObject({ name: 'ConfigurationError', variables: ['MIGRATE_DATABASE_URL'] });
    expect((error as Error).message).toMatch(/^MIGRATE_DATABASE_URL: PostgreSQL at [^\n]+$/);
    expect((error as Error).message).toMatch(expected);
    expect((error as Error).message).not.toContain(new URL(url).password);
  });

  test('no right to create tables', async () => {
    const { url, login } = await ownedDatabase('');
    const foreign = new URL(url);
    foreign.pathname = `/${database.name}`;
    expect(await failure(foreign.href)).toMatchObject({
      message: `MIGRATE_DATABASE_URL: the login "${login}" has no CREATE on schema "public"; a superuser can: ALTER DATABASE "${database.name}" OWNER TO "${login}"`,
    });
  });

  test('no right to act as the role', async () => {
    const { url, login } = await ownedDatabase('');
    expect(await failure(url)).toMatchObject({
      message: `MIGRATE_DATABASE_URL: the login "${login}" may not act as the role signalbox_app; a superuser can: GRANT signalbox_app TO "${login}"`,
    });
  });
});

describe('the schema', () => {
  /** The SQL that would make the database what prisma/schema.prisma says. */
  async function difference(url: string): Promise<string> {
    const schema = path.resolve(MIGRATIONS_DIRECTORY, '../schema.prisma');
    const files = [{ path: schema, content: await readFile(schema, 'utf8') }];
    const pool = new pg.Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0 });
    const engine = await createSchemaEngine(pool);
    try {
      const { stdout } = await engine.diff({
        from: { tag: 'schemaDatasource', files, configDir: path.dirname(schema) },
        to: { tag: 'schemaDatamodel', files },
        script: true,
        exitCode: null,
        filters: NO_FILTERS,
      });
      return (stdout ?? '').trim();
    } finally {
      engine.free();
      await pool.end();
    }
  }

  test('that the migrations make is the one of prisma/schema.prisma', async () => {
    const migrated = await createTestDatabase();
    cleanups.push(migrated.drop);
    expect(await difference(migrated.url)).toBe('-- This is an empty migration.');
    await withClient(migrated.url, (client) => client.query('ALTER TABLE org ADD COLUMN extra int'));
    expect(await difference(migrated.url)).toMatch(/ALTER TABLE "org" DROP COLUMN "extra";$/);
  });
});
