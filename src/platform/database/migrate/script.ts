import type { Pool } from 'pg';

/** Stands in `_prisma_migrations.logs` from the moment that a migration's script has committed. */
export const COMMITTED = 'script committed';

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
    try {
      await this.pool.query(`${script}\n;${noteCommitted(migration)}`);
    } catch (error) {
      this.failed = { migration, error };
      throw error;
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
