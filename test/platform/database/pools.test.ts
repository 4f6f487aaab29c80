import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createPools, type Pools } from '../../../src/platform/database/pools.ts';
import { isConnectionLoss, isTransient, isUnavailable, sqlState } from '../../../src/platform/database/sql-state.ts';
import { startBreakingProxy } from '../../support/breaking-proxy.ts';
import { createTestDatabase, type TestDatabase, withClient } from '../../support/database.ts';

// A machine that does much else is slow, not wrong.
vi.setConfig({ testTimeout: 120_000 });

let database: TestDatabase;
let pools: Pools;
const idleErrors: Error[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  pools = createPools(database.url, (error) => idleErrors.push(error));
});
afterAll(async () => {
  await pools?.end();
  await database?.drop();
});

const pidOf = async (client: pg.ClientBase) =>
  (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number;
const terminate = (pid: number) =>
  withClient(database.url, (client) => client.query('SELECT pg_terminate_backend($1, 5000)', [pid]));

async function failureOf(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => Promise.reject(new Error('expected a failure')),
    (error: unknown) => error as Error,
  );
}

it('writes dates and finds tables its own way, whatever the database says otherwise', async () => {
  const name = database.name;
  const own = { search_path: 'elsewhere', datestyle: 'German', intervalstyle: 'iso_8601', row_security: 'off' };
  await withClient(database.url, async (client) => {
    for (const [setting, value] of Object.entries(own))
      await client.query(`ALTER DATABASE ${name} SET ${setting} = ${value}`);
  });
  const fresh = createPools(database.url, () => {});
  try {
    for (const pool of [fresh.ordinary, fresh.hot]) {
      const { rows } = await pool.query(
        `SELECT now()::text ~ '^\\d{4}-\\d\\d-\\d\\d ' AS iso, '1 day'::interval::text AS day, to_regclass('org') IS NOT NULL AS found,
           current_setting('row_security') AS secured`,
      );
      expect(rows).toEqual([{ iso: true, day: '1 day', found: true, secured: 'on' }]);
    }
  } finally {
    await fresh.end();
    await withClient(database.url, (client) => client.query(`ALTER DATABASE ${name} RESET ALL`));
  }
});

describe.each(['ordinary', 'hot'] as const)('the %s pool', (name) => {
  it('works as the role of the server with bounded waits', async () => {
    const { rows } = await pools[name].query(
      `SELECT current_user AS role, current_setting('lock_timeout') AS lock, current_setting('idle_in_transaction_session_timeout') AS idle`,
    );
    expect(rows[0].role).toBe('signalbox_app');
    expect([rows[0].lock, rows[0].idle]).not.toContain('0');
  });

  it('survives that a connection breaks while it is out and silent, and tells its user at the next query', async () => {
    const client = await pools[name].connect();
    const pid = await pidOf(client);
    await client.query('BEGIN');
    const ended = new Promise((resolve) => client.once('end', resolve));
    await terminate(pid);
    // The end arrives while nobody waits for an answer: were there no listener, this process would end here.
    await ended;
    const failure = await failureOf(client.query('SELECT 1'));
    client.release(failure);
    expect(isConnectionLoss(failure), String(failure)).toBe(true);
    expect((await pools[name].query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('survives that a connection breaks under a query', async () => {
    const client = await pools[name].connect();
    const pid = await pidOf(client);
    const failing = failureOf(client.query('SELECT pg_sleep(10)'));
    await terminate(pid);
    const failure = await failing;
    expect([sqlState(failure), isConnectionLoss(failure)]).toEqual(['57P01', true]);
    client.release(failure);
  });

  it('hears of an idle connection that breaks, and makes another', async () => {
    const heard = idleErrors.length;
    const client = await pools[name].connect();
    const pid = await pidOf(client);
    client.release();
    await terminate(pid);
    await expect.poll(() => idleErrors.length, { timeout: 20_000 }).toBe(heard + 1);
    expect((await pools[name].query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('counts a session that was idle in its transaction for too long as lost', async () => {
    const client = await pools[name].connect();
    await client.query(`SET idle_in_transaction_session_timeout = 20`);
    const told = new Promise<Error>((resolve) => client.once('error', resolve));
    await client.query('BEGIN');
    const failure = await told;
    expect([sqlState(failure), isConnectionLoss(failure), isTransient(failure)]).toEqual(['25P03', true, false]);
    client.release(failure);
  });
});

it('an ordinary connection that brings nothing back any more is closed, and gives up its place', async () => {
  const { hostname, port } = new URL(database.url);
  const proxy = await startBreakingProxy({ host: hostname, port: Number(port) });
  const through = Object.assign(new URL(database.url), { hostname: '127.0.0.1', port: String(proxy.port) });
  const behind = createPools(through.href, () => {}, { ordinary: 1, hot: 1 }, undefined, 500);
  try {
    await behind.ordinary.query('SELECT 1');
    Object.assign(proxy, { at: 'say nothing', fate: 'go-silent' });
    const client = await behind.ordinary.connect();
    const failure = await failureOf(client.query(`SELECT 'say nothing'`));
    client.release();
    expect([isConnectionLoss(failure), proxy.broken()]).toEqual([true, 1]);
    expect((await behind.ordinary.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  } finally {
    await behind.end();
    await proxy.close();
  }
});

describe('the state of an error', () => {
  it.each([
    [{ code: '40P01' }, '40P01'],
    [{ code: 'SB001' }, 'SB001'],
    [{ code: 'XX000' }, 'XX000'],
    [{ code: 'EPIPE' }, null],
    [{ code: 'ECONNRESET' }, null],
    [{ code: 'P2002' }, '23505'],
    [{ code: 'P2034' }, '40001'],
    [{ code: 'P2025' }, null],
    [{ cause: { originalCode: '55P03' } }, '55P03'],
    [{ code: 'P2010', meta: { driverAdapterError: { cause: { originalCode: 'SB401' } } } }, 'SB401'],
    [new Error('x'), null],
    [null, null],
    ['40001', null],
  ])('of %j is %j', (error, state) => {
    expect(sqlState(error)).toBe(state);
  });

  it.each([
    ['EPIPE', true],
    ['ECONNRESET', true],
    ['ECONNREFUSED', true],
    ['P1001', true],
    ['P1017', true],
    ['08006', true],
    ['57P01', true],
    ['57014', false],
    ['40001', false],
    ['ENOENT', false],
  ])('%s is a lost connection: %j', (code, lost) => {
    expect(isConnectionLoss({ code })).toBe(lost);
  });

  it.each([
    ['57014', true],
    ['53300', true],
    ['P2028', true],
    ['P1001', true],
    ['57P03', true],
    ['25006', true],
    ['23505', false],
    ['P2025', false],
    ['XX000', false],
  ])('%s asks to come back later: %j', (code, later) => {
    expect(isUnavailable({ code })).toBe(later);
  });
});

it('a hot transaction ends after three seconds whatever it does, where PostgreSQL has a limit for that', async () => {
  const { rows } = await pools.hot.query(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('transaction_timeout', true) AS whole`,
  );
  expect(rows[0].whole).toBe(rows[0].version >= 170_000 ? '3s' : null);
});
