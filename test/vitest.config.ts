import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    dir: import.meta.dirname,
    include: ['**/*.test.ts'],
    globalSetup: ['test/harness/global-setup.ts'],
    // One per core of a small machine (the default leaves one out); the tests wait often enough for that.
    maxWorkers: 2,
    // Real sockets and a real Postgres: a test that hangs for this long is stuck.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
