import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import { EmbeddedPostgresError, errorCode, unlessMissing } from './errors.ts';
import type { Location } from './location.ts';
import { isAlive } from './processes.ts';

export const SUPERUSER = 'signalbox';

/** One initialised database cluster. */
export interface Cluster {
  /** PostgreSQL's own data directory (PGDATA). */
  readonly data: string;
  readonly password: string;
  readonly logFile: string;
}

const NAME = 'cluster';
const INITDB_TIMEOUT_MS = 120_000;

/**
 * Opens the cluster of a location, making it first if there is none. It is made in a folder of another name and then
 * renamed, password and all: killed at any moment, there is a whole cluster or none.
 */
export async function openCluster(location: Location, binaries: Binaries, durable: boolean): Promise<Cluster> {
  const directory = path.join(location.base, NAME);
  if ((await unlessMissing(stat(directory), null)) === null) {
    await removeAbandoned(location.base);
    await createCluster(directory, location, binaries, durable);
  }
  return {
    data: path.join(directory, 'data'),
    password: await readFile(path.join(directory, 'password'), 'utf8'),
    logFile: path.join(directory, 'server.log'),
  };
}

async function createCluster(
  directory: string,
  location: Location,
  binaries: Binaries,
  durable: boolean,
): Promise<void> {
  const temporary = await mkdtemp(path.join(location.base, `${NAME}.new-${process.pid}-`));
  try {
    if (location.account !== null) await chmod(temporary, 0o755);
    const password = randomBytes(24).toString('base64url');
    await initdb(temporary, password, location.account, binaries, durable);
    await writeFile(path.join(temporary, 'password'), password, { mode: 0o600, flush: true });
    await rename(temporary, directory);
    await syncDirectory(location.base);
  } catch (error) {
    // Another server was faster: its cluster counts.
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function initdb(
  temporary: string,
  password: string,
  account: Account | null,
  binaries: Binaries,
  durable: boolean,
): Promise<void> {
  const [data, passwordFile] = [path.join(temporary, 'data'), path.join(temporary, 'initdb-password')];
  await mkdir(data, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account !== null) for (const owned of [data, passwordFile]) await chown(owned, account.uid, account.gid);
  // The same order of text on every machine and after every upgrade of its C library.
  const locale = ['--locale', 'C', '--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8'];
  const flags = ['--pgdata', data, '--username', SUPERUSER, '--pwfile', passwordFile, '--auth', 'scram-sha-256'];
  flags.push('--encoding', 'UTF8', ...locale, ...(durable ? [] : ['--no-sync']));
  try {
    await promisify(execFile)(binaries.initdb, flags, {
      ...account,
      cwd: '/',
      env: serverEnvironment(),
      timeout: INITDB_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    const lines = stderr.split('\n').filter((line) => line.trim() !== '');
    const said = lines.find((line) => /error|fatal/i.test(line)) ?? lines.at(-1);
    const reason = said ?? (error instanceof Error ? error.message.split('\n')[0] : String(error));
    throw new EmbeddedPostgresError(`initdb failed: ${reason}`, { cause: error });
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/**
 * The folders of servers that were killed during their initdb. One whose process still lives may be at work. An initdb
 * that has outlived its server may still be writing: what cannot be removed now is left to a later start.
 */
async function removeAbandoned(base: string): Promise<void> {
  for (const name of await readdir(base)) {
    const pid = new RegExp(`^${NAME}\\.new-(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(path.join(base, name), { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  }
}

async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Nothing of ours is handed on: neither secrets, nor PG* variables that would change what the server does. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const { PATH, SystemRoot } = process.env;
  return { LC_ALL: 'C', TZ: 'UTC', ...(PATH && { PATH }), ...(SystemRoot && { SystemRoot }) };
}
