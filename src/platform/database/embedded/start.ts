import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import type { Cluster } from './cluster.ts';
import { DataDirectoryInUseError, EmbeddedPostgresError, errorCode } from './errors.ts';
import { connectTo, ownerPid } from './ownership.ts';
import {
  endRemnants,
  freePort,
  type Launch,
  launch,
  type PidFile,
  pidFilePath,
  readPidFile,
  removeStalePidFile,
  terminate,
} from './postmaster.ts';
import { isAlive, servesFrom, until } from './processes.ts';
import { startWatchdog } from './watchdog.ts';

export interface EmbeddedLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface PostmasterOptions {
  readonly binaries: Binaries;
  readonly cluster: Cluster;
  readonly account: Account | null;
  readonly durable: boolean;
  readonly log: EmbeddedLog;
}

/** A running PostgreSQL, and what watches that it does not outlive this process. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** Resolves when its process has ended, whoever ended it. */
  readonly ended: Promise<void>;
  /** Returns when it is gone; also if it has been gone before. */
  readonly stop: () => Promise<void>;
}

const ATTEMPTS = 6;
/** Replaying a long log after a crash takes its time. */
const READY_TIMEOUT_MS = 180_000;
/** A server that has just started PostgreSQL claims it within this time. */
const CLAIM_GRACE_MS = 1500;

/**
 * Starts PostgreSQL on a cluster that nobody serves from, whatever a crash has left there, and waits until it takes
 * connections.
 *
 * @param port on 127.0.0.1; a random free one by default.
 * @throws DataDirectoryInUseError when another server uses the cluster.
 * @throws EmbeddedPostgresError with one line for whatever else prevents it.
 */
export async function startPostmaster(options: PostmasterOptions, port?: number): Promise<Postmaster> {
  const { cluster, account, log } = options;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    await clearTheWay(cluster, log);
    const tried = port ?? (await freePort());
    let endWatchdog = (): void => {};
    const result = await launch({
      ...options,
      port: tried,
      timeoutMs: READY_TIMEOUT_MS,
      onSpawn: (pid) => {
        endWatchdog = startWatchdog(pid, pidFilePath(cluster.data), account);
      },
    });
    if (result.outcome === 'ready') {
      const { pid, ended, stop } = result;
      return { pid, port: tried, ended, stop: () => stop().finally(endWatchdog) };
    }
    endWatchdog();
    await overcome(result, cluster, port);
  }
  throw new EmbeddedPostgresError(
    `PostgreSQL did not start on ${cluster.data} in ${ATTEMPTS} attempts, see ${cluster.logFile}`,
  );
}

/** Returns if another attempt may succeed. */
async function overcome(result: Exclude<Launch, { outcome: 'ready' }>, cluster: Cluster, port?: number): Promise<void> {
  switch (result.outcome) {
    case 'failed':
      throw new EmbeddedPostgresError(`PostgreSQL did not start on ${cluster.data}: ${result.reason}`);
    case 'port-taken':
      if (port !== undefined) throw new EmbeddedPostgresError(`port ${port} on 127.0.0.1 is taken`);
      return;
    case 'remnants':
      await endRemnants(cluster.data);
      return;
    case 'occupied':
      // Somebody started at the same moment: the next attempt finds out who.
      return;
  }
}

/**
 * Makes sure that nobody serves from this data directory: a stale pid file is removed, an orphan stopped.
 * @throws DataDirectoryInUseError
 */
async function clearTheWay(cluster: Cluster, log: EmbeddedLog): Promise<void> {
  const file = await readPidFile(cluster.data);
  if (file === null) return;
  if (!(await servesFrom(file.pid, cluster.data))) {
    await removeStalePidFile(cluster.data, file);
    return;
  }
  const owner = await settledOwner(cluster, file);
  if (owner !== null) throw new DataDirectoryInUseError(cluster.data, owner);
  if (!(await servesFrom(file.pid, cluster.data))) return;
  log.warn({ pid: file.pid }, 'an orphaned embedded PostgreSQL is stopped');
  await terminate(file.pid, cluster.data);
}

/** Who uses a running PostgreSQL, after those who are only just starting or dying have had their time. */
async function settledOwner(cluster: Cluster, file: PidFile): Promise<number | null> {
  const { client } = await reach(cluster, file);
  if (client === null) return null;
  try {
    let owner: number | null = null;
    await until(async () => {
      owner = await ownerPid(client);
      return owner !== null && isAlive(owner);
    }, CLAIM_GRACE_MS);
    return owner;
  } catch (error) {
    // It was stopped meanwhile, by the watchdog or whoever else started.
    if (await servesFrom(file.pid, cluster.data)) throw error;
    return null;
  } finally {
    await client.end().catch(() => {});
  }
}

/** Connects as soon as it takes connections; null when it ends instead. */
async function reach(
  cluster: Cluster,
  file: PidFile,
): Promise<{ client: Awaited<ReturnType<typeof connectTo>> | null }> {
  let client: Awaited<ReturnType<typeof connectTo>> | null = null;
  let refusal: unknown;
  await until(async () => {
    if (!(await servesFrom(file.pid, cluster.data))) return true;
    const port = (await readPidFile(cluster.data))?.port;
    if (port === null || port === undefined) return false;
    try {
      client = await connectTo(cluster, port);
    } catch (error) {
      refusal = error;
      if (errorCode(error) === '28P01') throw error;
    }
    return client !== null;
  }, READY_TIMEOUT_MS);
  if (client === null && (await servesFrom(file.pid, cluster.data))) {
    throw new EmbeddedPostgresError(
      `PostgreSQL, pid ${file.pid}, serves from ${cluster.data} but takes no connections`,
      { cause: refusal },
    );
  }
  return { client };
}
