import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Folder, temporaryFolder } from '../../faults/rig/folder.ts';
import { built, type Environment, family, isAlive, launch, type Running, shell, start } from './process.ts';

// Each start takes seconds, on a busy machine many.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

/** The tests follow one data directory through its starts, in order: each start costs seconds. */
let folder: Folder;
let dataDirectory: string;
let server: Awaited<ReturnType<typeof start>>;
let first: { banner: string; events: unknown[] };
const launched: Running[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  dataDirectory = join(folder.path, 'data');
  server = await startHere();
});

afterAll(async () => {
  for (const running of launched) if (isAlive(running.pid)) running.signal('SIGTERM');
  await Promise.all(launched.map(({ exited }) => exited));
  await folder.remove();
});

async function startHere(command?: readonly string[], also: Environment = {}): Promise<typeof server> {
  const running = await start({ SIGNALBOX_DATA_DIR: dataDirectory, ...also }, command);
  launched.push(running);
  return running;
}

const curls = (banner: string) => banner.split('\n').filter((line) => line.startsWith('curl '));
const keys = (banner: string) => [...new Set(banner.match(/sbx_[\w-]{43}/g))];
const pidFile = () => join(dataDirectory, 'postgres/cluster/data/postmaster.pid');

async function events({ stdout }: Running): Promise<unknown[]> {
  const line = curls(stdout()).at(-1)!;
  return (JSON.parse(await shell(line)) as { items: unknown[] }).items;
}

describe('the first start', () => {
  it('prints three curl lines that show something, run as they are', async () => {
    const lines = curls(server.stdout());
    expect(lines).toHaveLength(3);
    const [leases, decision, log] = await Promise.all(lines.map(async (line) => JSON.parse(await shell(line))));
    expect(leases.items).toMatchObject([{ repo: 'acme/shop', state: 'live', holder: { owner: { name: 'Ada' } } }]);
    expect(decision).toMatchObject({ outcome: 'require_approval', rules: [{ id: 'payments-need-a-human' }] });
    expect(log.items.length).toBeGreaterThan(10);
  });

  it('prints a hook block to paste, for this server and with no key in it', () => {
    const json = /^\{\n[^]*?^\}/m.exec(server.stdout())![0];
    const { hooks } = JSON.parse(json) as { hooks: Record<string, { matcher?: string; hooks: object[] }[]> };
    expect(Object.keys(hooks)).toEqual(
      expect.arrayContaining(['SessionStart', 'PreToolUse', 'PostToolUse', 'SessionEnd']),
    );
    expect(hooks['PreToolUse']).toMatchObject([{ hooks: [{ type: 'http', onFailure: 'block' }] }]);
    expect(json).toContain(`${server.url}/hooks/claude-code?repo=acme%2Fshop`);
    expect(json).not.toContain('sbx_');
  });

  it('keeps its keys for its owner alone, and out of the log', () => {
    for (const name of ['root-key', 'demo.json']) {
      expect(statSync(join(dataDirectory, name)).mode & 0o777, name).toBe(0o600);
    }
    expect(server.stderr()).not.toMatch(/sbx_/);
  });

  it('makes a root key that creates orgs', async () => {
    const answer = await fetch(`${server.url}/api/v1/orgs`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${readFileSync(join(dataDirectory, 'root-key'), 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ slug: 'acme', name: 'Acme' }),
    });
    expect(answer.status).toBe(201);
  });

  it('refuses a second server on its data with one line, and goes on', async () => {
    const second = launch({ SIGNALBOX_DATA_DIR: dataDirectory, LOG_LEVEL: 'error' });
    launched.push(second);
    expect(await second.exited).toEqual({ code: 1, signal: null });
    expect(second.stderr()).toMatch(/^signalbox: data directory .* is in use by pid \d+\n$/);
    expect(second.stdout()).toBe('');
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  });
});

describe('stopping', () => {
  it('answers who waits, then stops the database, then exits with 0', async () => {
    first = { banner: server.stdout(), events: await events(server) };
    const pid = Number(readFileSync(pidFile(), 'utf8').split('\n')[0]);
    const approvals = await asAdmin('/approvals');
    const waiting = asAdmin(`/approvals/${approvals.body.items[0]!.id}?waitSeconds=60`);
    // The request is under way once the server has the connection; a stop before that would refuse it.
    await expect.poll(async () => (await fetch(`${server.url}/healthz`)).status).toBe(200);
    server.signal('SIGTERM');
    expect((await waiting).status).toBe(200);
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(isAlive(pid)).toBe(false);
    expect(existsSync(pidFile())).toBe(false);
  });

  async function asAdmin(path: string): Promise<{ status: number; body: { items: { id: string }[] } }> {
    const [admin] = keys(server.stdout());
    const answer = await fetch(`${server.url}/api/v1${path}`, { headers: { authorization: `Bearer ${admin}` } });
    return { status: answer.status, body: (await answer.json()) as { items: { id: string }[] } };
  }
});

describe('the next starts', () => {
  it('keep everything, and print the same keys, whatever is said of the database of another program', async () => {
    server = await startHere(undefined, {
      PGSSLMODE: 'require',
      PGOPTIONS: '-c statement_timeout=1',
      PGHOST: '192.0.2.1',
      PGPORT: '1',
    });
    expect(keys(server.stdout())).toEqual(keys(first.banner));
    expect((await events(server)).slice(0, first.events.length)).toEqual(first.events);
  });

  it('keep everything after a kill -9 of the server, the database and the watchdog', async () => {
    const before = await events(server);
    const all = await family(server.pid);
    // Node, the watchdog, the postmaster and its children: fewer, and the test would not be one.
    expect(all.length).toBeGreaterThan(5);
    for (const pid of all) process.kill(pid, 'SIGKILL');
    await server.exited;
    server = await startHere();
    expect((await events(server)).slice(0, before.length)).toEqual(before);
    expect(await Promise.all(curls(server.stdout()).map(async (line) => JSON.parse(await shell(line))))).toHaveLength(
      3,
    );
  });

  it('go on, with all they have, after a kill -9 of the database alone', async () => {
    const before = await events(server);
    process.kill(Number(readFileSync(pidFile(), 'utf8').split('\n')[0]), 'SIGKILL');
    await expect.poll(() => server.stderr(), { timeout: 30_000 }).toContain('embedded PostgreSQL is ready again');
    await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status, { timeout: 30_000 }).toBe(200);
    expect((await events(server)).slice(0, before.length)).toEqual(before);
  });

  it('take Ctrl-C twice, as a terminal and npm send it, for once', async () => {
    server.signal('SIGINT');
    server.signal('SIGINT');
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(existsSync(pidFile())).toBe(false);
  });
});

describe('an error that nobody caught', () => {
  it('is logged, stops the database all the same, and exits with 1', async () => {
    const plant = "process.on('SIGUSR2', () => { throw new Error('planted') })";
    const command = [process.execPath, '--import', `data:text/javascript,${plant}`, built('main.js')];
    server = await startHere(command);
    server.signal('SIGUSR2');
    expect(await server.exited).toEqual({ code: 1, signal: null });
    expect(server.stderr()).toContain('planted');
    expect(existsSync(pidFile())).toBe(false);
  });
});

describe('a signal while it starts', () => {
  it('stops what has been started, and exits with 0', async () => {
    const starting = launch({ SIGNALBOX_DATA_DIR: dataDirectory });
    launched.push(starting);
    await starting.until(/embedded PostgreSQL is ready/);
    starting.signal('SIGTERM');
    expect(await starting.exited).toEqual({ code: 0, signal: null });
    expect(starting.stdout()).toBe('');
    expect(existsSync(pidFile())).toBe(false);
  });
});
