import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';

/** Stands in `_prisma_migrations.logs` from the moment that a migration's script has committed. */
export const COMMITTED = 'script committed';

/** SQLSTATE of a table that was not to be had within `lock_timeout`. */
export const LOCK_NOT_AVAILABLE = '55P03';
/** Somebody reads a table for long, as a backup does: half a minute and more, in which servers that serve stand for a second at a time. */
const ATTEMPTS = 12;
const BETWEEN_ATTEMPTS_MS = 2000;

/** The script that failed, by its migration's name, and what `pg` said. */
export interface FailedScript {
  readonly migration: string;
  readonly error: unknown;
}

/**
 * Executes migration scripts so that afterwards nobody has to guess. The engine notes that a migration has begun, runs
 * its script, notes that it has finished: three commits. A server killed between the last two leaves a row that reads
 * like a failure, and `prisma migrate` wants a human to say which it was. So the script's own transaction says it.
 *
 * A script is one transaction: what cannot run in one (`CREATE INDEX CONCURRENTLY`) is refused by PostgreSQL.
 */
export class MigrationScripts {
  /** Set by the script that failed; the engine's own error no longer says what PostgreSQL said. */
  failed: FailedScript | null = null;
  private readonly pool: Pool;
  private readonly names: ReadonlyMap<string, string>;

  constructor(pool: Pool, names: ReadonlyMap<string, string>) {
    this.pool = pool;
    this.names = names;
  }

  readonly execute = async (script: string): Promise<void> => {
    const migration = this.names.get(script);
    if (migration === undefined) {
      await this.pool.query(script);
      return;
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.pool.query(`${script}\n;${noteCommitted(migration)}`);
        return;
      } catch (error) {
        const isLocked = (error as { code?: unknown }).code === LOCK_NOT_AVAILABLE;
        if (!isLocked || attempt === ATTEMPTS) {
          this.failed = { migration, error };
          throw error;
        }
      }
      await sleep(BETWEEN_ATTEMPTS_MS);
    }
  };
}

function noteCommitted(migration: string): string {
  return `UPDATE _prisma_migrations SET logs = '${COMMITTED}'
    WHERE migration_name = '${migration.replaceAll("'", "''")}' AND finished_at IS NULL AND rolled_back_at IS NULL`;
}

/** How the script of a migration ended that was begun and never noted as finished. */
export async function isCommitted(pool: Pool, migration: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `SELECT FROM _prisma_migrations
     WHERE migration_name = $1 AND finished_at IS NULL AND rolled_back_at IS NULL AND logs = $2`,
    [migration, COMMITTED],
  );
  return rowCount !== 0;
}
