import path from 'node:path';
import type { MigrationList, SchemaEngine } from '@prisma/schema-engine-wasm';
import pg from 'pg';
import { createSchemaEngine, NO_FILTERS } from './migrate/engine.ts';
import { MigrationError, oneLine } from './migrate/errors.ts';
import { migrationNames, readMigrations } from './migrate/migrations.ts';
import { checkRights, checkServer, connect } from './migrate/preflight.ts';
import { type FailedScript, isCommitted, LOCK_NOT_AVAILABLE, MigrationScripts } from './migrate/script.ts';

export { MigrationError } from './migrate/errors.ts';

export interface MigrateLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface MigrateOptions {
  /** A superuser, or the database's owner who either may create roles or has been granted `signalbox_app`. */
  readonly url: string;
  readonly log: MigrateLog;
  /** The environment variable that the URL came from, named in errors. */
  readonly variable?: string;
  /** Absolute; the package's own by default, wherever the process was started. */
  readonly directory?: string;
  /** How long to wait for another server that is migrating the same database. */
  readonly waitSeconds?: number;
}

/** The same depth below the package's root from `src/` and from `dist/`. */
export const MIGRATIONS_DIRECTORY = path.resolve(import.meta.dirname, '../../../prisma/migrations');

/** Of this database, for as long as the connection lasts: a killed server frees it. */
const TURN = [7317, 1];
/**
 * Held by the connection that executes the scripts: when a server is killed, PostgreSQL goes on with the script it has
 * been sent, and may commit it much later. Nobody is to look before that.
 */
const EXECUTING = [7317, 3];

// A migration that waits for a table makes every later statement on it wait as well: better to give up and try again, as
// `MigrationScripts` does.
const SESSION_SETTINGS =
  '-c search_path=public -c row_security=on -c lock_timeout=1s -c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c client_min_messages=warning';

/**
 * Applies the migrations that the database lacks, in order, each in a transaction of its own, and notes them in
 * `_prisma_migrations` as `prisma migrate deploy` does. Does nothing when there are none. Servers that start together
 * take turns. One that knows fewer migrations than the database has been given leaves it alone: in a rolling update an
 * older server may well start after a newer one.
 *
 * @throws ConfigurationError when the server is not reachable, too old, or the login lacks a right.
 * @throws MigrationError when the history does not fit or a migration fails.
 */
export async function migrate(options: MigrateOptions): Promise<void> {
  const { url, log, variable = 'DATABASE_URL', directory = MIGRATIONS_DIRECTORY, waitSeconds = 120 } = options;
  const migrations = await readMigrations(directory);
  const lock = await connect(url, variable);
  try {
    await checkServer(lock, variable);
    await takeTurn(lock, TURN, log, waitSeconds);
    const pool = createPool(url, (session) => takeTurn(session, EXECUTING, log, waitSeconds));
    try {
      await bringUpToDate(pool, migrations, log, () => checkRights(lock, variable));
    } finally {
      await pool.end();
    }
  } finally {
    await lock.end().catch(() => {});
  }
}

/** The engine's connection. `pg` replaces one on which a query failed: each has to take its turn. */
function createPool(url: string, onConnect: (session: pg.ClientBase) => Promise<void>): pg.Pool {
  const options: pg.PoolConfig & { onConnect: typeof onConnect } = {
    connectionString: url,
    max: 1,
    // The session keeps locks; and an idle timer would outlive the pool, and hold up an exit.
    idleTimeoutMillis: 0,
    application_name: 'signalbox-migrate',
    options: SESSION_SETTINGS,
    onConnect,
  };
  const pool = new pg.Pool(options);
  pool.on('error', () => {});
  return pool;
}

/** Taken before anything is looked at: who looked first and waited then would apply what has been applied meanwhile. */
async function takeTurn(session: pg.ClientBase, key: number[], log: MigrateLog, waitSeconds: number): Promise<void> {
  const { rows } = await session.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS taken', key);
  if (rows[0]!.taken) return;
  log.info({ waitSeconds }, 'another server is migrating this database, waiting for it');
  const { rows: settings } = await session.query<{ before: string }>(
    `SELECT current_setting('lock_timeout') AS before`,
  );
  await session.query(`SELECT set_config('lock_timeout', $1, false)`, [`${Math.ceil(waitSeconds * 1000)}ms`]);
  try {
    await session.query('SELECT pg_advisory_lock($1, $2)', key);
  } catch (error) {
    if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
    throw new MigrationError('busy', `another server has been migrating this database for more than ${waitSeconds} s`);
  }
  await session.query(`SELECT set_config('lock_timeout', $1, false)`, [settings[0]!.before]);
}

async function bringUpToDate(
  pool: pg.Pool,
  migrations: MigrationList,
  log: MigrateLog,
  beforeApplying: () => Promise<void>,
): Promise<void> {
  const scripts = new MigrationScripts(pool, migrationNames(migrations));
  // Connects, so that not getting a turn is an error of ours and not the engine's.
  await pool.query('SELECT');
  const engine = await createSchemaEngine(pool, scripts.execute);
  try {
    await settleInterrupted(engine, pool, migrations, log);
    const pending = await pendingMigrations(engine, migrations, log);
    if (pending.length === 0) return;
    await beforeApplying();
    const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList: migrations, filters: NO_FILTERS });
    log.info({ migrations: appliedMigrationNames }, 'database migrated');
  } catch (error) {
    throw scripts.failed === null ? explained(error) : await settleFailed(engine, scripts.failed);
  } finally {
    engine.free();
  }
}

/**
 * A script that PostgreSQL refused is rolled back, and is noted so at once. One whose connection broke may have
 * committed or not: that is for the next start to settle.
 */
async function settleFailed(engine: SchemaEngine, { migration, error }: FailedScript): Promise<MigrationError> {
  if (!(error instanceof pg.DatabaseError) || error.severity === 'FATAL') {
    return new MigrationError(
      'failed',
      `migration ${migration} was interrupted, start again: ${oneLine(error)}`,
      error,
    );
  }
  await engine.markMigrationRolledBack({ migrationName: migration });
  return new MigrationError('failed', `migration ${migration} was refused and rolled back: ${oneLine(error)}`, error);
}

/** A server that was killed in the middle leaves a migration that neither finished nor failed. */
async function settleInterrupted(
  engine: SchemaEngine,
  pool: pg.Pool,
  migrations: MigrationList,
  log: MigrateLog,
): Promise<void> {
  const { failedMigrationNames } = await diagnose(engine, migrations);
  for (const migrationName of failedMigrationNames) {
    const committed = await isCommitted(pool, migrationName);
    if (committed) await engine.markMigrationApplied({ migrationName, migrationsList: migrations });
    else await engine.markMigrationRolledBack({ migrationName });
    log.warn({ migration: migrationName, committed }, 'a migration was interrupted; its state has been settled');
  }
}

async function pendingMigrations(engine: SchemaEngine, migrations: MigrationList, log: MigrateLog): Promise<string[]> {
  const { editedMigrationNames, history } = await diagnose(engine, migrations);
  if (editedMigrationNames.length > 0) {
    throw new MigrationError('modified', `changed after it was applied: migration ${editedMigrationNames.join(', ')}`);
  }
  switch (history?.diagnostic) {
    case undefined:
      return [];
    case 'databaseIsBehind':
      return history.unappliedMigrationNames;
    case 'migrationsDirectoryIsBehind':
      log.warn({ migrations: history.unpersistedMigrationNames }, 'the database was migrated by a later version');
      return [];
    case 'historiesDiverge': {
      const [unknown, lacking] = [history.unpersistedMigrationNames, history.unappliedMigrationNames];
      if (lacking.length === 0) return [];
      throw new MigrationError(
        'diverged',
        `the database was migrated by another line of versions: it has ${unknown.join(', ')}, and lacks ${lacking.join(', ')}`,
      );
    }
  }
}

function diagnose(engine: SchemaEngine, migrations: MigrationList) {
  return engine.diagnoseMigrationHistory({
    migrationsList: migrations,
    optInToShadowDatabase: false,
    filters: NO_FILTERS,
  });
}

function explained(error: unknown): unknown {
  if ((error as { code?: unknown }).code !== 'P3005') return error;
  return new MigrationError('foreign', 'the database is not empty and not Signalbox’s; name an empty one', error);
}
