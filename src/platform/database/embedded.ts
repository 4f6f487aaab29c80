import { locateBinaries } from './embedded/binaries.ts';
import { type Cluster, openCluster, SUPERUSER } from './embedded/cluster.ts';
import { DataDirectoryInUseError, EmbeddedPostgresError, errorCode } from './embedded/errors.ts';
import { type Location, locate } from './embedded/location.ts';
import { claim, connectTo, type Ownership, ownerPid } from './embedded/ownership.ts';
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
} from './embedded/postmaster.ts';
import { isAlive, servesFrom, until } from './embedded/processes.ts';
import { boundLog } from './embedded/server-log.ts';
import { startWatchdog } from './embedded/watchdog.ts';

export { EmbeddedPostgresError } from './embedded/errors.ts';

export interface EmbeddedLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface EmbeddedOptions {
  /** Absolute. Made if it is missing; holds `postgres/` afterwards. */
  readonly dataDir: string;
  readonly log: EmbeddedLog;
  /** On 127.0.0.1; a random free one by default. */
  readonly port?: number;
  /** False loses data when the machine fails: for tests only. */
  readonly durable?: boolean;
  /** Where root's data and programs go that PostgreSQL's account cannot reach where they are. */
  readonly sharedRoot?: string;
}

export interface EmbeddedPostgres {
  /** For the superuser of the database `signalbox`. Holds the password. */
  readonly url: string;
  /** Where the data are: below the given one, or where its link `postgres` points. */
  readonly dataDir: string;
  stop(): Promise<void>;
}

const EMBEDDED_DATABASE = 'signalbox';
const SHARED_ROOT = '/var/lib/signalbox';
const ATTEMPTS = 6;
/** Replaying a long log after a crash takes its time. */
const READY_TIMEOUT_MS = 180_000;
/** A server that has just started PostgreSQL claims it within this time. */
const CLAIM_GRACE_MS = 1500;
const LOG_CHECK_INTERVAL_MS = 600_000;

/**
 * Starts a PostgreSQL of our own on `dataDir`, made on the first start and kept by later ones. After any crash, of this
 * process, of PostgreSQL or of both, the next start recovers: an orphan is stopped, a stale pid file removed, a
 * half-made cluster made again.
 *
 * @throws DataDirectoryInUseError when another server uses it.
 * @throws EmbeddedPostgresError with one line for whatever else prevents it.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { dataDir, log, durable = true, sharedRoot = SHARED_ROOT } = options;
  const location = await locate(dataDir, sharedRoot);
  const binaries = await locateBinaries(location.account, sharedRoot);
  const cluster = await openCluster(location, binaries, durable);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    await clearTheWay(cluster, log);
    const port = options.port ?? (await freePort());
    let endWatchdog = (): void => {};
    const result = await launch({
      binaries,
      cluster,
      account: location.account,
      port,
      durable,
      timeoutMs: READY_TIMEOUT_MS,
      onSpawn: (pid) => {
        endWatchdog = startWatchdog(pid, pidFilePath(cluster.data), location.account);
      },
    });
    if (result.outcome === 'ready') {
      const stop = () => terminate(result.pid, cluster.data).finally(endWatchdog);
      return open({ location, cluster, port, pid: result.pid, stop }, log);
    }
    endWatchdog();
    await overcome(result, cluster, options.port);
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

interface Running {
  readonly location: Location;
  readonly cluster: Cluster;
  readonly port: number;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

async function open({ location, cluster, port, pid, stop }: Running, log: EmbeddedLog): Promise<EmbeddedPostgres> {
  let ownership: Ownership;
  try {
    await createDatabase(cluster, port);
    ownership = await claim(cluster, port);
  } catch (error) {
    await stop();
    throw error;
  }
  const timer = setInterval(() => {
    boundLog(cluster.logFile).catch((error: unknown) => {
      log.warn({ err: error }, 'the log of the embedded PostgreSQL is not bounded');
    });
  }, LOG_CHECK_INTERVAL_MS);
  timer.unref();
  log.info({ dataDir: cluster.data, port, pid }, 'embedded PostgreSQL is ready');
  const stopAll = async (): Promise<void> => {
    clearInterval(timer);
    await ownership.release();
    await stop();
  };
  let stopped: Promise<void> | undefined;
  return {
    url: `postgres://${SUPERUSER}:${cluster.password}@127.0.0.1:${port}/${EMBEDDED_DATABASE}?sslmode=disable`,
    dataDir: location.base,
    stop: () => (stopped ??= stopAll()),
  };
}

async function createDatabase(cluster: Cluster, port: number): Promise<void> {
  const client = await connectTo(cluster, port);
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [EMBEDDED_DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${EMBEDDED_DATABASE}`);
  } finally {
    await client.end();
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
