#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { runCli } from './adapters/cli/index.ts';
import { PACKAGE_ROOT } from './platform/package-root.ts';

process.setSourceMapsEnabled(true);

// Whoever read our output may have seen enough, as `head` does.
function onOutputError(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
}
process.stdout.on('error', onOutputError);

const { version } = JSON.parse(readFileSync(path.join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string };

process.exitCode = await runCli({
  args: process.argv.slice(2),
  env: process.env,
  directory: process.cwd(),
  version,
  stdout: process.stdout,
  stderr: process.stderr,
  serve: async () => {
    // A server goes on without a reader.
    process.stdout.off('error', onOutputError);
    // Only here: the server is a hundred times the size of a client.
    const { run } = await import('./main/run.ts');
    // As main.ts ends: a connection that somebody forgot to close must not keep a stopped server alive.
    process.exit(await run());
  },
});
