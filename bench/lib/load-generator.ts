/**
 * The load generator, in a process of its own so that it measures and does not share the server's event loop: one JSON
 * job from standard input, one JSON result. An answer that was not expected ends it, with the answer's body.
 */
import { text } from 'node:stream/consumers';
import type { Job } from './job.ts';
import { run } from './load.ts';

try {
  process.stdout.write(JSON.stringify(await run(JSON.parse(await text(process.stdin)) as Job)));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
process.exit();
