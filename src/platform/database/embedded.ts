import { locateBinaries } from './embedded/binaries.ts';
import { type Cluster, openCluster, SUPERUSER } from './embedded/cluster.ts';
import { locate } from './embedded/location.ts';
import { claim, connectTo, type Ownership } from './embedded/ownership.ts';
import { boundLog } from './embedded/server-log.ts';
import { type EmbeddedLog, type Postmaster, startPostmaster } from './embedded/start.ts';
import { supervise } from './embedded/supervise.ts';

export { EmbeddedPostgresError } from './embedded/errors.ts';

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
const LOG_CHECK_INTERVAL_MS = 600_000;

/**
 * Starts a PostgreSQL of our own on `dataDir`, made on the first start and kept by later ones. After any crash, of this
 * process, of PostgreSQL or of both, the next start recovers: an orphan is stopped, a stale pid file removed, a
 * half-made cluster made again. If PostgreSQL ends while this process lives, it is started again, at the same address.
 *
 * @throws DataDirectoryInUseError when another server uses it.
 * @throws EmbeddedPostgresError with one line for whatever else prevents it.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { dataDir, log, durable = true, sharedRoot = SHARED_ROOT } = options;
  const location = await locate(dataDir, sharedRoot);
  const { account, base } = location;
  const binaries = await locateBinaries(account, sharedRoot);
  const cluster = await openCluster(location, binaries, durable);
  const start = (port?: number) => startPostmaster({ binaries, cluster, account, durable, log }, port);
  const postmaster = await start(options.port);
  const ownership = await own(cluster, postmaster);
  const supervisor = supervise(postmaster, start, log);
  const endBounding = keepLogBounded(cluster, log);
  const { pid, port } = postmaster;
  log.info({ dataDir: cluster.data, port, pid }, 'embedded PostgreSQL is ready');
  const stopAll = async (): Promise<void> => {
    endBounding();
    await ownership.release();
    await supervisor.stop();
  };
  let stopped: Promise<void> | undefined;
  return {
    url: `postgres://${SUPERUSER}:${cluster.password}@127.0.0.1:${port}/${EMBEDDED_DATABASE}?sslmode=disable`,
    dataDir: base,
    stop: () => (stopped ??= stopAll()),
  };
}

/** Makes the database if it is not there yet, and claims it. */
async function own(cluster: Cluster, { port, stop }: Postmaster): Promise<Ownership> {
  try {
    await createDatabase(cluster, port);
    return await claim(cluster, port);
  } catch (error) {
    await stop();
    throw error;
  }
}

function keepLogBounded(cluster: Cluster, log: EmbeddedLog): () => void {
  const timer = setInterval(() => {
    boundLog(cluster.logFile).catch((error: unknown) => {
      log.warn({ err: error }, 'the log of the embedded PostgreSQL is not bounded');
    });
  }, LOG_CHECK_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
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
