import { type ChildProcess, spawn } from 'node:child_process';
import { link, readFile, rename, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import { type Cluster, serverEnvironment } from './cluster.ts';
import { EmbeddedPostgresError, unlessMissing } from './errors.ts';
import { servers, servesFrom, signal, until } from './processes.ts';
import { openLog, readLogFrom } from './server-log.ts';
import { postgresFlags } from './settings.ts';

/** What a postmaster notes about itself in its data directory. */
export interface PidFile {
  readonly pid: number;
  readonly port: number | null;
  /** `starting`, `ready`, `stopping`; null while it is being written. */
  readonly status: string | null;
}

const FAST_SHUTDOWN_MS = 10_000;
const IMMEDIATE_SHUTDOWN_MS = 5000;

export async function readPidFile(data: string): Promise<PidFile | null> {
  const content = await unlessMissing(readFile(pidFilePath(data), 'utf8'), null);
  return content === null ? null : parsePidFile(content);
}

export function pidFilePath(data: string): string {
  return path.join(data, 'postmaster.pid');
}

/** Lines: pid, data directory, start time, port, socket directory, address, shared memory, status. */
export function parsePidFile(content: string): PidFile | null {
  const lines = content.split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return null;
  const port = Number(lines[3]);
  return { pid, port: Number.isInteger(port) && port > 0 ? port : null, status: lines[7] || null };
}

/**
 * Removes the pid file of a postmaster that is no more: PostgreSQL does so itself, unless a process of the same user
 * has been given that number since. Moved first and looked at then, so that a server that starts at this very moment
 * does not lose its own.
 */
export async function removeStalePidFile(data: string, stale: PidFile): Promise<void> {
  const aside = `${pidFilePath(data)}.stale-${process.pid}`;
  await unlessMissing(rename(pidFilePath(data), aside), undefined);
  const moved = await unlessMissing(readFile(aside, 'utf8'), null);
  if (moved !== null && parsePidFile(moved)?.pid !== stale.pid) await link(aside, pidFilePath(data)).catch(() => {});
  await rm(aside, { force: true });
}

export type Launch =
  | {
      readonly outcome: 'ready';
      readonly pid: number;
      /** Resolves when its process has ended, whoever ended it. */
      readonly ended: Promise<void>;
      /** Returns when it is gone; also if it has been gone before. */
      readonly stop: () => Promise<void>;
    }
  | { readonly outcome: 'port-taken' | 'occupied' | 'remnants' }
  | { readonly outcome: 'failed'; readonly reason: string };

export interface LaunchOptions {
  readonly binaries: Binaries;
  readonly cluster: Cluster;
  readonly account: Account | null;
  readonly port: number;
  readonly durable: boolean;
  readonly timeoutMs: number;
  /** Called as soon as there is a process. */
  readonly onSpawn: (pid: number) => void;
}

/**
 * Starts a postmaster in a process group of its own, so that Ctrl-C in a terminal reaches only the server, which
 * drains before it stops the database. Resolves when it takes connections, or has given up.
 */
export async function launch(options: LaunchOptions): Promise<Launch> {
  const { binaries, cluster, account, port, durable } = options;
  const log = await openLog(cluster.logFile);
  let child: ChildProcess;
  try {
    child = spawn(binaries.postgres, postgresFlags(cluster.data, port, durable), {
      ...account,
      cwd: '/',
      env: serverEnvironment(),
      detached: true,
      windowsHide: true,
      stdio: ['ignore', log.handle.fd, log.handle.fd],
    });
    await spawned(child);
  } finally {
    await log.handle.close();
  }
  child.unref();
  const pid = child.pid!;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  options.onSpawn(pid);
  const isReady = async () => {
    const file = await readPidFile(cluster.data);
    return file?.pid === pid && file.status === 'ready';
  };
  const exited = () => child.exitCode !== null || child.signalCode !== null;
  const settled = await until(async () => exited() || (await isReady()), options.timeoutMs);
  if (exited()) return classify(await readLogFrom(cluster.logFile, log.start));
  const stop = async () => {
    child.ref();
    await terminate(pid, cluster.data);
    // A process that ends has left its directory a moment before it is gone.
    await ended;
  };
  if (settled) return { outcome: 'ready', pid, ended, stop };
  await stop();
  return { outcome: 'failed', reason: `not ready after ${options.timeoutMs / 1000} s` };
}

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => {
      reject(new EmbeddedPostgresError(`PostgreSQL cannot be run: ${error.message}`, { cause: error }));
    });
  });
}

/** What a postmaster that gave up said about it. */
export function classify(log: string): Exclude<Launch, { outcome: 'ready' }> {
  if (/lock file "postmaster\.pid" already exists/.test(log)) return { outcome: 'occupied' };
  if (/pre-existing shared memory block/.test(log)) return { outcome: 'remnants' };
  if (/could not bind|could not create any TCP\/IP sockets/.test(log)) return { outcome: 'port-taken' };
  const lines = log.split('\n').filter((line) => line.trim() !== '');
  const fatal = lines.findLast((line) => /(FATAL|PANIC):/.test(line)) ?? lines.at(-1) ?? 'it ended without a word';
  return { outcome: 'failed', reason: fatal.replace(/^.*?(FATAL|PANIC):\s*/, '') };
}

/** Stops a postmaster: in order, then at once, then by force. Returns when it is gone. */
export async function terminate(pid: number, data: string): Promise<void> {
  const gone = async () => !(await servesFrom(pid, data));
  for (const [name, waitMs] of [
    ['SIGINT', FAST_SHUTDOWN_MS],
    ['SIGQUIT', IMMEDIATE_SHUTDOWN_MS],
    ['SIGKILL', IMMEDIATE_SHUTDOWN_MS],
  ] as const) {
    if (await gone()) return;
    signal(pid, name);
    if (await until(gone, waitMs)) return;
  }
  throw new EmbeddedPostgresError(`PostgreSQL, pid ${pid}, does not end`);
}

/**
 * Ends what a killed postmaster has left: its processes notice as soon as they are idle, and until then a new one
 * refuses to start beside them, rightly.
 */
export async function endRemnants(data: string): Promise<void> {
  const gone = async () => (await servers(data)).length === 0;
  if (await until(gone, 2000)) return;
  for (const pid of await servers(data)) signal(pid, 'SIGQUIT');
  if (await until(gone, 3000)) return;
  for (const pid of await servers(data)) signal(pid, 'SIGKILL');
  await until(gone, 3000);
}

/** A port that is free now; who takes it before PostgreSQL does makes the launch try another. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
