import { rename } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Folder, temporaryFolder } from '../../../faults/rig/folder.ts';
import { readPidFile } from '../../../src/platform/database/embedded/postmaster.ts';
import { isAlive, servers, signal, until } from '../../../src/platform/database/embedded/processes.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/platform/database/embedded.ts';
import { withClient } from '../../support/database.ts';
import { watchdogs } from './fixtures/process.ts';

/** Starts take a second each, on a busy machine some. */
const PATIENCE_MS = 20_000;

let folder: Folder;
let postgres: EmbeddedPostgres;
let said: string[];

const pgdata = () => path.join(folder.path, 'data/postgres/cluster/data');
const postmaster = async () => (await readPidFile(pgdata()))?.pid ?? null;
const hear = (_fields: object, message: string) => void said.push(message);

/** One cluster for all: each test costs its starts anyway. */
beforeAll(async () => {
  folder = await temporaryFolder();
});

beforeEach(async () => {
  said = [];
  postgres = await startEmbeddedPostgres({
    dataDir: path.join(folder.path, 'data'),
    log: { info: hear, warn: hear },
    durable: false,
    sharedRoot: path.join(folder.path, 'shared'),
  });
  await withClient(postgres.url, (client) => client.query('CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS n'));
});

afterEach(async () => {
  await postgres.stop();
  expect(await servers(pgdata())).toEqual([]);
});

afterAll(() => folder.remove());

/** What is kept, as soon as it can be read. */
async function kept(): Promise<unknown> {
  let rows: unknown;
  const isRead = () =>
    withClient(postgres.url, async (client) => {
      ({ rows } = await client.query('SELECT n FROM kept'));
      return true;
    }).catch(() => false);
  expect(await until(isRead, PATIENCE_MS), said.join('\n')).toBe(true);
  return rows;
}

const owners = () =>
  withClient(postgres.url, async (client) => {
    const { rows } = await client.query(
      `SELECT application_name AS name FROM pg_locks JOIN pg_stat_activity USING (pid)
       WHERE locktype = 'advisory' AND granted`,
    );
    return rows;
  });

test('a PostgreSQL that is killed is started again where it was, with what it had, and claimed again', async () => {
  const killed = (await postmaster())!;
  signal(killed, 'SIGKILL');
  expect(await until(() => !isAlive(killed), PATIENCE_MS)).toBe(true);
  expect(await kept()).toEqual([{ n: 42 }]);
  expect(await postmaster()).not.toBe(killed);
  expect(said).toContain('embedded PostgreSQL is ready again');
  await expect.poll(() => watchdogs(pgdata()).length, { timeout: PATIENCE_MS }).toBe(1);
  await expect.poll(owners, { timeout: PATIENCE_MS }).toEqual([{ name: `signalbox owner ${process.pid}` }]);
});

test('so is one that was stopped in order by whoever meant another, and one that is killed again', async () => {
  for (const name of ['SIGINT', 'SIGKILL', 'SIGKILL'] as const) {
    const ended = (await postmaster())!;
    signal(ended, name);
    expect(await until(() => !isAlive(ended), PATIENCE_MS)).toBe(true);
    expect(await kept()).toEqual([{ n: 42 }]);
  }
});

test('a busy backend that has outlived its postmaster is ended first', async () => {
  const busy = withClient(postgres.url, (client) =>
    client.query('SELECT count(*) FROM generate_series(1, 1000000000)'),
  );
  const isRefused = expect(busy).rejects.toThrow();
  const isBusy = () =>
    withClient(postgres.url, async (client) => {
      const { rows } = await client.query(`SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT count(*) FROM gen%'`);
      return rows.length === 1;
    });
  expect(await until(isBusy, PATIENCE_MS)).toBe(true);
  signal((await postmaster())!, 'SIGKILL');
  expect(await kept()).toEqual([{ n: 42 }]);
  await isRefused;
});

test('one that cannot be started is tried again until it can', async () => {
  await whileBroken(() => until(() => failures() >= 2, PATIENCE_MS));
  expect(failures()).toBeGreaterThanOrEqual(2);
  expect(await kept()).toEqual([{ n: 42 }]);
});

test('a stop while it cannot be started ends the attempts', async () => {
  let attempts = 0;
  await whileBroken(async () => {
    await until(() => failures() >= 3, PATIENCE_MS);
    await postgres.stop();
    attempts = failures();
  });
  expect(attempts).toBeGreaterThanOrEqual(3);
  expect(said).not.toContain('embedded PostgreSQL is ready again');
});

test('a stop while it is being started again leaves no process', async () => {
  signal((await postmaster())!, 'SIGKILL');
  expect(await until(() => said.includes(ENDED), PATIENCE_MS)).toBe(true);
  await postgres.stop();
  expect(await servers(pgdata())).toEqual([]);
});

const ENDED = 'the embedded PostgreSQL has ended unasked: it is started again';
const failures = () => said.filter((line) => line === 'the embedded PostgreSQL cannot be started again yet').length;

/** Kills it, and keeps it from starting, until `then` is done. */
async function whileBroken(then: () => Promise<unknown>): Promise<void> {
  const [file, aside] = [path.join(pgdata(), 'global/pg_control'), path.join(folder.path, 'aside')];
  await rename(file, aside);
  try {
    signal((await postmaster())!, 'SIGKILL');
    await then();
  } finally {
    await rename(aside, file);
  }
}
