import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { chooseAccount } from '../../../src/platform/database/embedded/account.ts';
import { isAlive, servers, signal, until } from '../../../src/platform/database/embedded/processes.ts';
import { withClient } from '../../support/database.ts';
import { KEPT, Place, read, write } from './fixtures/place.ts';
import { watchdogs } from './fixtures/process.ts';

const onLinux = process.platform === 'linux';

const at = Place.forEach();

describe('after a crash', () => {
  beforeEach(() => at.givenCluster());

  test('of the server alone, the watchdog stops PostgreSQL and the data are kept', async () => {
    const { fixture, url, postmaster } = await at.startProcess();
    await write(url);
    await fixture.kill();
    expect(await until(() => !isAlive(postmaster), 10_000)).toBe(true);
    expect(await read((await at.start()).url)).toEqual(KEPT);
  });

  test('of the server and its watchdog, the orphan is stopped by the next start', async () => {
    const { fixture, url, postmaster } = await at.startProcess();
    await write(url);
    const dogs = watchdogs(at.pgdata);
    expect(dogs).toHaveLength(1);
    for (const pid of dogs) signal(pid, 'SIGKILL');
    await fixture.kill();
    expect(isAlive(postmaster)).toBe(true);
    expect(await read((await at.start()).url)).toEqual(KEPT);
    // Reaped by the system's first process, in its own time.
    expect(await until(() => !isAlive(postmaster), 10_000)).toBe(true);
    expect(at.warnings).toContain('an orphaned embedded PostgreSQL is stopped');
  });

  test('of everything at once, what was committed is there', async () => {
    const { fixture, url } = await at.startProcess();
    await write(url);
    for (const pid of [...watchdogs(at.pgdata), ...(await servers(at.pgdata))]) signal(pid, 'SIGKILL');
    await fixture.kill();
    expect(existsSync(path.join(at.pgdata, 'postmaster.pid'))).toBe(true);
    expect(await read((await at.start()).url)).toEqual(KEPT);
  });

  test('of the postmaster alone, a busy backend that lives on is ended first', async () => {
    if (!onLinux) return;
    const { fixture, url, postmaster } = await at.startProcess();
    await write(url);
    const busy = withClient(url, (client) => client.query('SELECT count(*) FROM generate_series(1, 1000000000)'));
    busy.catch(() => {});
    await until(async () => (await activeBackends(url)) === 1, 5000);
    for (const pid of watchdogs(at.pgdata)) signal(pid, 'SIGKILL');
    signal(postmaster, 'SIGKILL');
    await fixture.kill();
    expect(await until(async () => (await servers(at.pgdata)).length === 1, 5000)).toBe(true);
    expect(await read((await at.start()).url)).toEqual(KEPT);
    await expect(busy).rejects.toThrow();
  });

  test('a pid file whose number another process has been given since does not stand in the way', async () => {
    const first = await at.start();
    await write(first.url);
    await first.stop();
    const account = await chooseAccount(null);
    const stranger = spawn('sleep', ['60'], { ...account, cwd: '/', stdio: 'ignore' });
    at.atTheEnd(async () => stranger.kill('SIGKILL'));
    const now = Math.floor(Date.now() / 1000);
    const content = [stranger.pid, at.pgdata, now, 5432, '', '127.0.0.1', '  1 2', 'ready', ''].join('\n');
    writeFileSync(path.join(at.pgdata, 'postmaster.pid'), content, { mode: 0o600 });
    expect(await read((await at.start()).url)).toEqual(KEPT);
    expect(isAlive(stranger.pid!)).toBe(true);
  });
});

async function activeBackends(url: string): Promise<number> {
  const { rows } = await withClient(url, (client) =>
    client.query(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'SELECT count(*) FROM generate%'`),
  );
  return rows[0].n;
}
