import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inject } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LONGEST_START_MS = 60_000;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The server as a process of its own, with what it wrote so far. */
export interface Running {
  readonly pid: number;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly exited: Promise<Exit>;
  signal(name: NodeJS.Signals): void;
  /** Resolves when what it wrote on either stream matches; rejects when it ends before that. */
  until(pattern: RegExp): Promise<void>;
}

export type Environment = Readonly<Record<string, string>>;

/** A program of the product, `main.js` or `cli.js`, compiled from the tree as it was when the tests began. */
export const built = (program: string): string => join(inject('testBuild'), program);

/** Starts it with `env` and nothing else of this process's but what programs need to be found. Port 0 unless told otherwise. */
export function launch(env: Environment, command: readonly string[] = [process.execPath, built('main.js')]): Running {
  const [program = '', ...args] = command;
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { PATH, HOME, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  const looks = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      for (const look of looks) look();
    });
  }
  const exited = new Promise<Exit>((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
  const until = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${why} before ${pattern}:\n${output.stdout}\n${output.stderr}`));
      const timer = setTimeout(() => fail('took too long'), LONGEST_START_MS);
      const look = () => {
        if (!pattern.test(output.stdout) && !pattern.test(output.stderr)) return;
        clearTimeout(timer);
        looks.delete(look);
        resolve();
      };
      looks.add(look);
      look();
      void exited.then(() => fail('ended'));
    });
  return {
    pid: child.pid!,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    exited,
    signal: (name) => void child.kill(name),
    until,
  };
}

/** Starts it and waits for the last line of its banner. */
export async function start(
  env: Environment,
  command?: readonly string[],
): Promise<Running & { readonly url: string }> {
  const running = launch(env, command);
  const isComplete = env['DATABASE_URL'] === undefined ? /events\?after=0'\n/ : / {2}URL .*\n[^]*\n\n/;
  await running.until(isComplete);
  return { ...running, url: /URL +(\S+)/.exec(running.stdout())![1]! };
}

/** A process and everything below it, whatever group or session they are in. */
export async function family(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-e', '-o', 'pid=,ppid=']);
  const rows = stdout.trim().split('\n');
  const pairs = rows.map((row) => row.trim().split(/\s+/).map(Number) as [number, number]);
  const found = [pid];
  // Children are appended while their parents are gone through.
  for (const parent of found) found.push(...pairs.filter(([, ppid]) => ppid === parent).map(([child]) => child));
  return found;
}

/** One that has ended and whose end nobody has been told yet is not: who is to be told, once its parent is gone, may be busy. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !hasEnded(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A zombie, where the system has such a file. */
function hasEnded(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** What a line of shell prints, run as it stands. */
export async function shell(line: string): Promise<string> {
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', line]);
  return stdout;
}
