import { rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMMITTED } from '../../../src/platform/database/migrate/script.ts';
import { migrate } from '../../../src/platform/database/migrate.ts';
import { withClient } from '../../support/database.ts';
import { runFixture } from './fixtures/process.ts';
import { Migrating } from './migrating.ts';

const at = new Migrating();
const { log, cleanups, messages } = at;
const script = (name: string, sql: string) => at.script(name, sql);

const query = (sql: string, values: unknown[] = []) =>
  withClient(at.database.url, async (client) => (await client.query(sql, values)).rows);
const run = () => migrate({ url: at.database.url, log, directory: at.directory });
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
    await query(`ALTER DATABASE ${at.database.name} SET search_path = elsewhere`);
    await script('0001_a', 'CREATE TABLE a (n int);');
    await run();
    await run();
    expect(await exists('public.a')).toBe(true);
  });

  test('a table that somebody reads for long is waited for a second at a time, so that others get at it meanwhile', async () => {
    await script('0001_a', 'CREATE TABLE a (n int);');
    await run();
    await script('0002_b', 'ALTER TABLE a ADD COLUMN m int;');
    await withClient(at.database.url, async (reader) => {
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
    await expect(
      migrate({ url: at.database.url, log, directory: at.directory, waitSeconds: 0.1 }),
    ).rejects.toMatchObject({
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
    await rm(path.join(at.directory, '0002_b'), { recursive: true });
    await run();
    expect(messages).toContain('the database was migrated by a later version');
  });

  test('a database of another line of versions is refused', async () => {
    await script('0001_a', 'CREATE TABLE a (n int);');
    await script('0002_b', 'CREATE TABLE b (n int);');
    await run();
    await rm(path.join(at.directory, '0002_b'), { recursive: true });
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
    const fixture = runFixture('migrating-server.ts', [at.database.url, at.directory]);
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
