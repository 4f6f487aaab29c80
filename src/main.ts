import { run } from './main/run.ts';

// Not by an empty event loop: a connection that somebody forgot to close must not keep a stopped server alive.
process.exit(await run());
