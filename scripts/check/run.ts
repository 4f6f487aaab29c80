import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import type { Step } from './steps.ts';

export interface Verdict {
  readonly passed: boolean;
  readonly durationMs: number;
  /** Both of the command's streams in the order they came, and why it did not run if it did not. */
  readonly output: string;
}

/** Runs a step to its end in `root`, with the project's own tools first on the path. Never throws: what cannot start has failed. */
export function runStep(step: Step, root: string): Promise<Verdict> {
  const startedMs = performance.now();
  const path = [join(root, 'node_modules', '.bin'), process.env['PATH'] ?? ''].join(delimiter);
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(step.command, step.args, {
      cwd: root,
      env: { ...process.env, PATH: path, NO_COLOR: '1', FORCE_COLOR: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const collect = (chunk: Buffer) => (output += chunk.toString());
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const finish = (passed: boolean, why = '') =>
      resolve({ passed, durationMs: performance.now() - startedMs, output: output + why });
    child.on('error', (error) => finish(false, `${step.command} could not be started: ${error.message}\n`));
    child.on('close', (code, signal) => finish(code === 0, signal === null ? '' : `ended by ${signal}\n`));
  });
}
