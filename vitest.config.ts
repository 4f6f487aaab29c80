import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    // The modules are loaded once a worker, not once a file: a third of the suite's time. A test restores what it spies on.
    isolate: false,
    globalSetup: ['test/support/global-setup.ts'],
  },
});
