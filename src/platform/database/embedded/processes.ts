import { execFile } from 'node:child_process';
import { readdir, readlink, realpath } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { errorCode } from './errors.ts';

const POLL_MS = 25;

/** Whether a process with this id exists, whoever's it is. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** Sends a signal to a process that may be gone. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

/** Asks until the answer is yes or the time is up; the last answer. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() >= deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/**
 * Whether a process is one of PostgreSQL's that works in this data directory. Process ids are used again, so that the
 * number in an old `postmaster.pid` alone says nothing. Every process of PostgreSQL's has its data directory as its
 * working directory; where the system does not tell that (anything but Linux), its name has to do.
 */
export async function servesFrom(pid: number, data: string): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform === 'linux') {
    const directory = await readlink(`/proc/${pid}/cwd`).catch(() => null);
    return directory !== null && directory === (await realpath(data));
  }
  if (process.platform === 'win32') return true;
  const name = await promisify(execFile)('ps', ['-o', 'comm=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
  return /postgres\s*$/.test(name.stdout);
}

/** All processes that work in this data directory: what a killed postmaster leaves behind. Linux only, else none. */
export async function servers(data: string): Promise<number[]> {
  if (process.platform !== 'linux') return [];
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const serving = await Promise.all(pids.map((pid) => servesFrom(pid, data)));
  return pids.filter((_, index) => serving[index]);
}
