import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { readPidFile } from '../../../src/platform/database/embedded/postmaster.ts';
import { isAlive, until } from '../../../src/platform/database/embedded/processes.ts';
import { withClient } from '../../support/database.ts';
import { KEPT, Place, read, write } from './fixtures/place.ts';
import { watchdogs } from './fixtures/process.ts';

const onLinux = process.platform === 'linux';

const at = Place.forEach();

describe('the first start', () => {
  test('makes the database, a later one keeps it', async () => {
    const first = await at.start();
    await write(first.url);
    await first.stop();
    const second = await at.start();
    expect(await read(second.url)).toEqual(KEPT);
    expect(new URL(second.url)).toMatchObject({ hostname: '127.0.0.1', pathname: '/signalbox' });
  });

  test('leaves nothing, when its server is killed, that a later one stumbles over', async () => {
    const fixture = at.spawn();
    const inTheMiddle = () => existsSync(path.join(at.dataDir, 'postgres')) && at.beside('cluster.new-').length === 1;
    expect(await until(inTheMiddle, 20_000)).toBe(true);
    await fixture.kill();
    expect(at.beside('cluster.new-')).toHaveLength(1);
    expect(at.beside('cluster').includes('cluster')).toBe(false);
    await at.start();
    // The dead server's initdb may have been at work until just now; what it left goes with the next cluster made.
    expect(at.beside('cluster')).toContain('cluster');
  });

  test('of three servers at the same moment on an empty directory, exactly one serves', async () => {
    const fixtures = [at.spawn(), at.spawn(), at.spawn()];
    const answers = await Promise.all(fixtures.map((fixture) => fixture.said));
    const urls = answers.flatMap(({ url }) => url ?? []);
    expect(urls, JSON.stringify(answers)).toHaveLength(1);
    await write(urls[0]!);
    for (const { error } of answers.filter(({ url }) => url === undefined))
      expect(error).toMatch(/is in use by pid \d+$/);
    expect(at.beside('cluster')).toEqual(['cluster']);
  });
});

describe('start and stop', () => {
  beforeEach(() => at.givenCluster());

  test('stopping leaves no process, and twice is once', async () => {
    const postgres = await at.start();
    const { pid } = (await readPidFile(at.pgdata))!;
    await Promise.all([postgres.stop(), postgres.stop()]);
    expect(isAlive(pid)).toBe(false);
    expect(await until(() => watchdogs(at.pgdata).length === 0, 3000)).toBe(true);
  });

  test('by default it waits for the disk, and only TCP on loopback is open', async () => {
    const postgres = await at.start({ durable: true });
    const { rows } = await withClient(postgres.url, (client) =>
      client.query(`SELECT name, setting FROM pg_settings WHERE name IN
        ('fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums', 'listen_addresses', 'unix_socket_directories')`),
    );
    expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
      fsync: 'on',
      full_page_writes: 'on',
      synchronous_commit: 'on',
      data_checksums: 'on',
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
    });
  });

  test('the password is random, needed, and readable by the owner alone', async () => {
    const { url } = await at.start();
    const file = path.join(at.dataDir, 'postgres/cluster/password');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(new URL(url).password).toBe(readFileSync(file, 'utf8'));
    const guess = new URL(url);
    guess.password = 'postgres';
    await expect(withClient(guess.href, async () => {})).rejects.toMatchObject({ code: '28P01' });
  });

  test('it runs in a process group of its own and says nothing on stdout', async () => {
    const { fixture, postmaster } = await at.startProcess();
    const groupOf = (pid: number) =>
      execFileSync('ps', ['-o', 'pgid=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    expect(groupOf(postmaster)).toBe(String(postmaster));
    expect(groupOf(fixture.pid)).not.toBe(String(postmaster));
    expect(fixture.lines).toHaveLength(1);
  });

  test('PostgreSQL inherits no secret from the environment', async () => {
    if (!onLinux) return;
    process.env['SIGNALBOX_ROOT_KEY'] = 'not-for-postgres';
    try {
      await at.start();
    } finally {
      delete process.env['SIGNALBOX_ROOT_KEY'];
    }
    const { pid } = (await readPidFile(at.pgdata))!;
    expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain('not-for-postgres');
  });
});

describe('two servers on one data directory', () => {
  beforeEach(() => at.givenCluster());

  test('the second is told who has it, and the first goes on', async () => {
    const { fixture, url } = await at.startProcess();
    await write(url);
    await expect(at.start()).rejects.toMatchObject({
      name: 'EmbeddedPostgresError',
      message: expect.stringMatching(new RegExp(`^data directory .* is in use by pid ${fixture.pid}$`)),
      pid: fixture.pid,
    });
    expect(await read(url)).toEqual(KEPT);
  });
});

describe('errors are one line', () => {
  beforeEach(() => at.givenCluster());

  test('data of another major version', async () => {
    await (await at.start()).stop();
    writeFileSync(path.join(at.pgdata, 'PG_VERSION'), '17\n');
    await expect(at.start()).rejects.toThrow(
      /^PostgreSQL did not start on .*: database files are incompatible with server$/,
    );
  });

  test('a port that is taken', async () => {
    const { url } = await at.start();
    const port = Number(new URL(url).port);
    const other = at.start({ dataDir: path.join(at.home, 'other'), port });
    await expect(other).rejects.toThrow(`port ${port} on 127.0.0.1 is taken`);
  });
});
