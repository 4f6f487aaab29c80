/**
 * `npm run check` holds the tree against everything that a machine can check: a line for each, the output of those that
 * failed, and exit code 1 if any did. All of them run even if one fails. `npm run check -- --fast` leaves the tests out.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runStep } from './check/run.ts';
import { steps } from './check/steps.ts';

const { values } = parseArgs({ options: { fast: { type: 'boolean', default: false } } });
const root = fileURLToPath(new URL('..', import.meta.url));

const failed: { name: string; output: string }[] = [];
for (const step of steps(root)) {
  if (values.fast && step.slow === true) continue;
  const { passed, durationMs, output } = await runStep(step, root);
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${step.name} (${(durationMs / 1000).toFixed(1)} s)`);
  if (!passed) failed.push({ name: step.name, output });
}
for (const { name, output } of failed) console.log(`\n--- ${name}\n${output.trimEnd()}`);
if (failed.length > 0) {
  console.log(`\n${failed.length} failed: ${failed.map(({ name }) => name).join(', ')}`);
  process.exitCode = 1;
}
