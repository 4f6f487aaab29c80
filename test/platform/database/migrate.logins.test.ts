import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { MIGRATIONS_DIRECTORY, migrate } from '../../../src/platform/database/migrate.ts';
import { createEmptyDatabase, onTestServer, withClient } from '../../support/database.ts';
import { Migrating } from './migrating.ts';

const at = new Migrating();
const { log, cleanups } = at;

/** The real migrations with a role of their own: roles belong to the cluster, and here nobody has made it yet. */
async function realMigrations(): Promise<{ role: string }> {
  const role = `signalbox_app_${randomBytes(6).toString('hex')}`;
  const sql = await readFile(path.join(MIGRATIONS_DIRECTORY, '0001_init/migration.sql'), 'utf8');
  await at.script('0001_init', sql.replaceAll('signalbox_app', role));
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
    await Promise.all(databases.map(({ url }) => migrate({ url, log, directory: at.directory })));
    for (const { url } of databases) expect(await becomes(url, role)).toBe(role);
  });

  test('can be set by an owner who is no superuser and may create roles', async () => {
    const { role } = await realMigrations();
    const { url, login } = await ownedDatabase('CREATEROLE');
    // The real role exists in this cluster already; the one of this test does not.
    await onTestServer((client) => client.query(`GRANT signalbox_app TO ${login}`));
    await migrate({ url, log, directory: at.directory });
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
    foreign.pathname = `/${at.database.name}`;
    expect(await failure(foreign.href)).toMatchObject({
      message: `MIGRATE_DATABASE_URL: the login "${login}" has no CREATE on schema "public"; a superuser can: ALTER DATABASE "${at.database.name}" OWNER TO "${login}"`,
    });
  });

  test('no right to act as the role', async () => {
    const { url, login } = await ownedDatabase('');
    expect(await failure(url)).toMatchObject({
      message: `MIGRATE_DATABASE_URL: the login "${login}" may not act as the role signalbox_app; a superuser can: GRANT signalbox_app TO "${login}"`,
    });
  });

  test('a database that cannot keep every text is refused before anything is made in it', async () => {
    const name = `${at.database.name}_latin1`;
    await onTestServer((client) =>
      client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc`),
    );
    cleanups.push(() => onTestServer((client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`)));
    const url = new URL(at.database.url);
    url.pathname = `/${name}`;
    await expect(migrate({ url: url.href, log, directory: at.directory })).rejects.toThrow(
      /^DATABASE_URL: .* LATIN1, .*ENCODING 'UTF8'$/,
    );
  });
});
