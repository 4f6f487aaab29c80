import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import pg from 'pg';
import { locateBinaries } from '../../src/platform/database/embedded/binaries.ts';
import { openCluster, SUPERUSER, serverEnvironment } from '../../src/platform/database/embedded/cluster.ts';
import { locate } from '../../src/platform/database/embedded/location.ts';
import { endRemnants, freePort, readPidFile } from '../../src/platform/database/embedded/postmaster.ts';
import { signal, until } from '../../src/platform/database/embedded/processes.ts';
import { openLog } from '../../src/platform/database/embedded/server-log.ts';
import { postgresFlags } from '../../src/platform/database/embedded/settings.ts';
import type { DatabaseClock } from './clock.ts';
import type { Keeper } from './keeper.ts';

/** A PostgreSQL that can be restarted at once. */
export interface Postgres {
  readonly port: number;
  /** The superuser's, to the database that the servers use. */
  readonly url: string;
  /** As `pg_ctl restart -m immediate`: no transaction ends in order, the next start recovers from the log. */
  restartAtOnce(): Promise<void>;
  stop(): Promise<void>;
}

const DATABASE = 'signalbox';
const SHARED_ROOT = '/var/lib/signalbox';
const READY_MS = 60_000;
const STOP_MS = 10_000;
/** Three servers with all their connections, those of servers that were killed but not yet missed, and ours. */
const CONNECTIONS = 150;

/** A cluster of its own in the folder, with an empty database. Nothing waits for the disk: no machine fails here. */
export async function startPostgres(folder: string, clock: DatabaseClock, keeper: Keeper): Promise<Postgres> {
  const location = await locate(path.join(folder, 'data'), SHARED_ROOT);
  const binaries = await locateBinaries(location.account, SHARED_ROOT);
  const cluster = await openCluster(location, binaries, false);
  const port = await freePort();

  const launch = async (): Promise<ChildProcess> => {
    const log = await openLog(cluster.logFile);
    const flags = [...postgresFlags(cluster.data, port, false), '-c', `max_connections=${CONNECTIONS}`];
    const child = spawn(binaries.postgres, flags, {
      ...location.account,
      cwd: '/',
      env: { ...serverEnvironment(), ...clock.environment },
      detached: true,
      stdio: ['ignore', log.handle.fd, log.handle.fd],
    });
    child.once('error', () => {});
    await log.handle.close();
    keeper.watch(child);
    const isReady = async () => {
      const file = await readPidFile(cluster.data);
      return file?.pid === child.pid && file?.status === 'ready';
    };
    const settled = await until(async () => hasExited(child) || (await isReady()), READY_MS);
    if (!settled || hasExited(child)) throw new Error(`PostgreSQL did not start, see ${cluster.logFile}`);
    return child;
  };

  const end = async (child: ChildProcess, how: 'SIGINT' | 'SIGQUIT'): Promise<void> => {
    const exited = hasExited(child) ? Promise.resolve() : once(child, 'exit');
    signal(child.pid!, how);
    const timer = setTimeout(() => signal(child.pid!, 'SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(timer);
    await endRemnants(cluster.data);
  };

  let running = await launch();
  const url = (database: string) => `postgres://${SUPERUSER}:${cluster.password}@127.0.0.1:${port}/${database}`;
  await withClient(url('postgres'), (client) => client.query(`CREATE DATABASE ${DATABASE}`));
  return {
    port,
    url: url(DATABASE),
    restartAtOnce: async () => {
      // What pg_ctl sends for `-m immediate`.
      await end(running, 'SIGQUIT');
      running = await launch();
    },
    stop: () => end(running, 'SIGINT'),
  };
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Connects as the superuser, past row-level security, and disconnects whatever happens. */
export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'faults' });
  client.on('error', () => {});
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}
