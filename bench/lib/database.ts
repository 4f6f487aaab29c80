import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/platform/database/embedded.ts';
import { migrate } from '../../src/platform/database/migrate.ts';
import { createLogger } from '../../src/platform/logger.ts';

/**
 * A migrated, durable PostgreSQL for one run: a new embedded one, or that of DATABASE_URL. The new one has files of its log to
 * use again, as any has that was not installed this minute: else each 16 MB end in a commit of 15 ms, which makes the next file.
 */
export async function openDatabase(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const log = createLogger({ level: 'warn' });
  const given = process.env['DATABASE_URL'];
  if (given !== undefined) {
    await migrate({ url: given, log });
    return { url: given, close: async () => {} };
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'signalbox-bench-'));
  // Where root starts it, PostgreSQL's own account must get in; its data are in a folder of its own below.
  await chmod(dataDir, 0o755);
  const embedded = await startEmbeddedPostgres({ dataDir, log });
  const close = async () => {
    await embedded.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await migrate({ url: embedded.url, log });
    await fillLog(embedded.url);
  } catch (error) {
    await close();
    throw error;
  }
  return { url: embedded.url, close };
}

/** Writes as much as the log holds at most, and nothing else, and lets go of it. */
async function fillLog(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(
      `SELECT pg_logical_emit_message(false, 'bench', repeat('x', 1024 * 1024))
       FROM generate_series(1, pg_size_bytes(current_setting('max_wal_size')) / 1024 / 1024)`,
    );
    await client.query('CHECKPOINT');
  } finally {
    await client.end();
  }
}
