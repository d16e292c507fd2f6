import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    dir: import.meta.dirname,
    include: ['**/*.test.ts'],
    globalSetup: ['test/harness/global-setup.ts'],
    // One more than a small machine has cores: processes that start and stop are mostly waited for.
    maxWorkers: 3,
    // Real sockets and a real Postgres: a test that hangs for this long is stuck.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
