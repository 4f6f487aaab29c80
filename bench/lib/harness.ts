import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import manifest from '../../package.json' with { type: 'json' };
import type { Job, Measured } from './job.ts';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export interface Child {
  readonly port: number;
  readonly process: ChildProcess;
}

/** The spaces of memory that `npm start` gives the server, and the same for the baselines. */
const NODE_FLAGS = manifest.scripts.start.match(/--[a-z-]+-space-size=\d+/g) ?? [];

/** Starts a TypeScript file that prints `{"port":…}` when it listens. */
export async function startChild(file: string, args: readonly string[]): Promise<Child> {
  const child = spawn(process.execPath, [...NODE_FLAGS, '--import', 'tsx', here(file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`${file} ended with ${code} before it listened`);
    }),
  ])) as [string];
  return { port: (JSON.parse(line) as { port: number }).port, process: child };
}

export async function stopChild({ process: child }: Child): Promise<void> {
  child.kill('SIGTERM');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

// Always eight digits, so that bodies stay as long as they are, and etcd's keys valid base64.
let counter = 10_000_000;

/** One measurement, by a load generator in a process of its own. @throws Error for an answer that was not expected */
export async function measure(job: Omit<Job, 'from'>): Promise<Measured> {
  const child = spawn(process.execPath, ['--import', 'tsx', here('load-generator.ts')], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(JSON.stringify({ ...job, from: counter }));
  const [output, problem, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  if (code !== 0) throw new Error(problem);
  const measured = JSON.parse(output) as Measured;
  counter = measured.next;
  return measured;
}

export interface Result {
  readonly name: string;
  readonly ours: number;
  readonly baseline: number;
  readonly ratio: number;
  readonly goal: number;
  readonly lowerIsBetter?: boolean;
}

/** Prints the table, and with --json the machine-readable last line. */
export function report(title: string, results: readonly Result[], unit: (name: string) => string): void {
  console.log(`\n${title}`);
  for (const { name, ours, baseline, ratio, goal, lowerIsBetter } of results) {
    const met = lowerIsBetter === true ? ratio <= goal : ratio >= goal;
    const goalText = `${lowerIsBetter === true ? '<=' : '>='} ${goal}`;
    console.log(
      `  ${name.padEnd(34)} ours ${format(ours)} ${unit(name)}  baseline ${format(baseline)}  ratio ${ratio.toFixed(2)}  goal ${goalText}  ${met ? 'met' : 'NOT MET'}`,
    );
  }
  if (process.argv.includes('--json')) console.log(JSON.stringify({ results }));
}

function format(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

/** The middle of an odd number of values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
