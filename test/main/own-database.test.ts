import { createServer } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createEmptyDatabase, onTestServer, type TestDatabase } from '../support/database.ts';
import { type Environment, isAlive, launch, type Running, start } from './process.ts';

// Each start takes seconds, on a busy machine many.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const ROOT_KEY = 'root-key-of-this-test-0123456789abcdef';
const launched: Running[] = [];
const databases: TestDatabase[] = [];

afterEach(async () => {
  for (const running of launched) if (isAlive(running.pid)) running.signal('SIGTERM');
  await Promise.all(launched.splice(0).map(({ exited }) => exited));
  for (const database of databases.splice(0)) await database.drop();
});

async function emptyDatabase(): Promise<string> {
  const database = await createEmptyDatabase();
  databases.push(database);
  return database.url;
}

describe('servers on a PostgreSQL of their own', () => {
  it('start at once on an empty database and share it', async () => {
    const env = { DATABASE_URL: await emptyDatabase(), SIGNALBOX_ROOT_KEY: ROOT_KEY };
    const [one, other] = await Promise.all([start(env), start(env)]);
    launched.push(one, other);
    const created = await fetch(`${one.url}/api/v1/orgs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ROOT_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ slug: 'acme', name: 'Acme' }),
    });
    expect(created.status).toBe(201);
    const { apiKey } = (await created.json()) as { apiKey: { secret: string } };
    const headers = { authorization: `Bearer ${apiKey.secret}` };
    expect(await (await fetch(`${other.url}/api/v1/org`, { headers })).json()).toMatchObject({ slug: 'acme' });
    // No demo in somebody's own database, and none of its credentials on the screen.
    expect(one.stdout()).not.toMatch(/sbx_|postgres:\/\//);
    for (const running of [one, other]) running.signal('SIGTERM');
    for (const { exited } of [one, other]) expect(await exited).toEqual({ code: 0, signal: null });
  });
});

describe('a mistake in the configuration', () => {
  const nowhere = 'postgres://app:secret-of-mine@127.0.0.1:1/app';

  it.each<[string, Environment, RegExp]>([
    ['a port that is none', { PORT: 'http' }, /^signalbox: PORT is "http": expected a whole number/],
    [
      'a database that is away',
      { DATABASE_URL: nowhere },
      /^signalbox: DATABASE_URL: PostgreSQL at 127.0.0.1:1 is not/,
    ],
    ['a data directory that is a file', { SIGNALBOX_DATA_DIR: 'package.json' }, /^signalbox: .*package\.json/],
  ])('is one line and exit 1: %s', async (_what, env, line) => {
    expect(await failing(env)).toMatch(line);
  });

  it('is one line and exit 1: a port that is taken, with the database let go', async () => {
    const url = await emptyDatabase();
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as { port: number };
    try {
      const line = await failing({ DATABASE_URL: url, PORT: String(port) });
      expect(line).toBe(`signalbox: PORT: ${port} on 127.0.0.1 is taken; name another one, or 0 for a free one\n`);
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
  });

  it('is one line and exit 1: a login that may not work as signalbox_app', async () => {
    const url = await emptyDatabase();
    const login = `sbx_stranger_${process.pid}`;
    await onTestServer((client) => client.query(`CREATE ROLE ${login} LOGIN PASSWORD 'stranger'`));
    try {
      const stranger = new URL(url);
      stranger.username = login;
      stranger.password = 'stranger';
      const line = await failing({ DATABASE_URL: stranger.href, MIGRATE_DATABASE_URL: url });
      expect(line).toMatch(/^signalbox: DATABASE_URL: .*signalbox_app/);
    } finally {
      await onTestServer((client) => client.query(`DROP ROLE ${login}`));
    }
  });

  /** All that it writes on its way to exit 1, which has to be one line without a password. */
  async function failing(env: Environment): Promise<string> {
    const running = launch({ LOG_LEVEL: 'warn', ...env });
    launched.push(running);
    expect(await running.exited).toEqual({ code: 1, signal: null });
    expect(running.stdout()).toBe('');
    expect(running.stderr()).toMatch(/^[^\n]+\n$/);
    expect(running.stderr()).not.toContain('secret-of-mine');
    return running.stderr();
  }
});
