import { chmod, lstat, mkdir, mkdtemp, realpath, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import { type Account, chooseAccount, isReachable } from './account.ts';
import { EmbeddedPostgresError, errorCode, unlessMissing } from './errors.ts';

/** Where the database lives, and whose it is. */
export interface Location {
  /** Real path of the folder that holds `cluster/`. */
  readonly base: string;
  readonly account: Account | null;
}

/**
 * Finds or makes the folder `<dataDir>/postgres`. Where PostgreSQL's account cannot reach it, because root's data
 * directory lies below a folder of root's alone, it is a symbolic link to a folder in `sharedRoot`: the link is how
 * a later start finds the data, and whoever deletes the data directory starts afresh.
 */
export async function locate(dataDir: string, sharedRoot: string): Promise<Location> {
  const isRoot = process.getuid?.() === 0;
  await mkdir(dataDir, { recursive: true, mode: isRoot ? 0o755 : 0o700 });
  const entry = path.join(dataDir, 'postgres');
  if ((await unlessMissing(lstat(entry), null)) === null) await makeBase(dataDir, entry, sharedRoot);
  const base = await realpath(entry).catch((error: unknown) => {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new EmbeddedPostgresError(
      `${entry} points to a database that is gone: restore it, or delete the link to start empty`,
    );
  });
  const account = await chooseAccount(await ownerOfData(base));
  if (!(await isReachable(base, account))) {
    throw new EmbeddedPostgresError(
      `uid ${account?.uid}, which PostgreSQL runs as, cannot reach ${base}: check the permissions on the way`,
    );
  }
  return { base, account };
}

async function makeBase(dataDir: string, entry: string, sharedRoot: string): Promise<void> {
  const account = await chooseAccount(null);
  try {
    if (await isReachable(await realpath(dataDir), account)) {
      await mkdir(entry, { mode: account === null ? 0o700 : 0o755 });
      return;
    }
    await mkdir(sharedRoot, { recursive: true, mode: 0o755 });
    const elsewhere = await mkdtemp(path.join(sharedRoot, 'data-'));
    await chmod(elsewhere, 0o755);
    await symlink(elsewhere, entry).catch(async (error: unknown) => {
      await rm(elsewhere, { recursive: true, force: true });
      throw error;
    });
  } catch (error) {
    // Another server made it at the same moment.
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

async function ownerOfData(base: string): Promise<Account | null> {
  return unlessMissing(stat(path.join(base, 'cluster/data')), null);
}
