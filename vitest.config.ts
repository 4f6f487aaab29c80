import { defineConfig } from 'vitest/config';
import LongestFirst from './test/support/longest-first.ts';
import { memoryFolder } from './test/support/memory.ts';

// For this process, which starts the database, and for the workers, which inherit it.
const inMemory = memoryFolder();
if (process.env['TMPDIR'] === undefined && inMemory !== null) process.env['TMPDIR'] = inMemory;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // One more than the two cores that a run may count on: at any moment some test waits for a process or a deadline.
    maxWorkers: 3,
    // The modules are loaded once a worker, not once a file: a third of the suite's time. A test restores what it spies on.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    globalSetup: ['test/support/global-setup.ts'],
  },
});
