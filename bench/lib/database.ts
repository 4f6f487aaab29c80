import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/platform/database/embedded.ts';
import { migrate } from '../../src/platform/database/migrate.ts';
import { createLogger } from '../../src/platform/logger.ts';

/** A migrated, durable PostgreSQL for one run: a new embedded one, or that of DATABASE_URL. */
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
  } catch (error) {
    await close();
    throw error;
  }
  return { url: embedded.url, close };
}
