import { chmod, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isAlive } from '../../src/platform/database/embedded/processes.ts';

export interface Folder {
  readonly path: string;
  remove(): Promise<void>;
  /** Under a name that no later campaign removes. Returns where it is then. */
  keep(): Promise<string>;
}

const PREFIX = 'signalbox-faults-';

/** A folder that PostgreSQL's account can reach when we are root. Removes those of campaigns that were killed. */
export async function temporaryFolder(): Promise<Folder> {
  await removeAbandoned();
  const made = await mkdtemp(path.join(tmpdir(), `${PREFIX}${process.pid}-`));
  await chmod(made, 0o755);
  return {
    path: made,
    remove: () => rm(made, { recursive: true, force: true, maxRetries: 3 }),
    keep: async () => {
      const kept = made.replace(`${PREFIX}${process.pid}`, `${PREFIX}broken`);
      await rename(made, kept);
      return kept;
    },
  };
}

async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(path.join(tmpdir(), name), { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  }
}
