import { defineConfig } from 'vitest/config';

/** Drives the real Claude Code, which is installed on demand (370 MB): apart from `npm test` on purpose. */
export default defineConfig({
  test: {
    include: ['test/claude-code/**/*.scenario.ts'],
    globalSetup: ['test/claude-code/setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    fileParallelism: false,
  },
});
