import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { buildApp, type Signalbox } from '../app.ts';
import { systemClock } from '../platform/clock.ts';
import { type Config, ConfigurationError } from '../platform/config.ts';
import { startEmbeddedPostgres } from '../platform/database/embedded.ts';
import { migrate } from '../platform/database/migrate.ts';
import { checkAppRole, createPools, type Pools } from '../platform/database/pools.ts';
import { newId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { startTelemetry } from '../platform/telemetry/index.ts';
import type { Started } from './banner.ts';
import { type Demo, ensureDemo } from './demo.ts';
import { listenFailure } from './failure.ts';
import { keptRootKey, ROOT_KEY_FILE } from './root-key.ts';
import type { Teardown } from './teardown.ts';

export interface StartOptions {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
  readonly version: string;
  readonly log: Logger;
  /** Gets what stops each thing as soon as it is started: it serves a start that fails as well as a server that ends. */
  readonly teardown: Teardown;
  /** Looked at between two steps. */
  readonly stopping: AbortSignal;
}

/**
 * Starts everything, in the order in which each thing needs the last.
 * @throws ConfigurationError, MigrationError, EmbeddedPostgresError with one line for what the operator can mend;
 *   the signal's reason when it aborts.
 */
export async function startServer(options: StartOptions): Promise<Started> {
  const { config, env, version, log, teardown, stopping } = options;
  const telemetry = startTelemetry({
    serviceName: 'signalbox',
    serviceVersion: version,
    instanceId: newId(),
    env,
    log,
  });
  teardown.add('telemetry', () => telemetry.shutdown());

  const database = await openDatabase(options);
  const pools = createPools(database.url, (error) => log.warn({ err: error }, 'an idle database connection broke'));
  teardown.add('database connections', () => pools.end());
  await checkRole(pools);
  stopping.throwIfAborted();

  const { rootKey } = database;
  const { publicUrl } = config;
  const signalbox = await buildApp({ pools, logger: log, clock: systemClock, telemetry, version, rootKey, publicUrl });
  teardown.add('server', () => signalbox.close());
  await signalbox.app.ready();
  await signalbox.start();
  stopping.throwIfAborted();
  const demo = config.databaseUrl === undefined ? await demoOf(signalbox, database.rootKey!, options) : null;
  stopping.throwIfAborted();

  await signalbox.app.listen({ host: config.host, port: config.port }).catch((error: unknown) => {
    throw listenFailure(error, config);
  });
  const localUrl = urlOf(signalbox.app.server.address() as AddressInfo);
  return { version, localUrl, publicUrl: publicUrl ?? localUrl, database: database.shown, demo };
}

interface OpenDatabase {
  readonly url: string;
  readonly rootKey: string | undefined;
  readonly shown: Started['database'];
}

/** The database, migrated: the embedded one, which is stopped at the end, or the operator's own. */
async function openDatabase({ config, log, teardown, stopping }: StartOptions): Promise<OpenDatabase> {
  if (config.databaseUrl !== undefined) {
    const variable = config.migrateDatabaseUrl === undefined ? 'DATABASE_URL' : 'MIGRATE_DATABASE_URL';
    await migrate({ url: config.migrateDatabaseUrl ?? config.databaseUrl, log, variable });
    stopping.throwIfAborted();
    const { host, pathname } = new URL(config.databaseUrl);
    const shown = { kind: 'own', server: `${host}${pathname}`, hasRootKey: config.rootKey !== undefined } as const;
    return { url: config.databaseUrl, rootKey: config.rootKey, shown };
  }
  const { dataDirectory } = config;
  const embedded = await startEmbeddedPostgres({ dataDir: dataDirectory, log });
  teardown.add('embedded database', () => embedded.stop());
  stopping.throwIfAborted();
  await migrate({ url: embedded.url, log });
  stopping.throwIfAborted();
  const rootKey = config.rootKey ?? (await keptRootKey(dataDirectory));
  const rootKeyFile = config.rootKey === undefined ? path.join(dataDirectory, ROOT_KEY_FILE) : null;
  return { url: embedded.url, rootKey, shown: { kind: 'embedded', dataDirectory, rootKeyFile } };
}

/** @throws ConfigurationError when the login may not work as the role that row-level security binds. */
async function checkRole(pools: Pools): Promise<void> {
  try {
    await checkAppRole(pools.ordinary);
  } catch (error) {
    const wrong = new ConfigurationError(`DATABASE_URL: ${(error as Error).message}`, ['DATABASE_URL']);
    wrong.cause = error;
    throw wrong;
  }
}

/** A demo that fails is a pity; a server that does not start because of it would be worse. */
async function demoOf(signalbox: Signalbox, rootKey: string, { config, log }: StartOptions): Promise<Demo | null> {
  try {
    const demo = await ensureDemo(signalbox.app, rootKey, config.dataDirectory);
    if (demo === null) log.warn('the org "demo" is there, but its keys are not kept in the data directory');
    return demo;
  } catch (error) {
    log.error({ err: error }, 'the demo org is incomplete; the next start takes it up again');
    return null;
  }
}

/** Where a client on this machine reaches an address that may stand for all of them. */
function urlOf({ address, family, port }: AddressInfo): string {
  if (address === '0.0.0.0') return `http://127.0.0.1:${port}`;
  if (address === '::') return `http://[::1]:${port}`;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
