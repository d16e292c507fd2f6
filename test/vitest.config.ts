import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    dir: import.meta.dirname,
    include: ['**/*.test.ts'],
    globalSetup: ['test/harness/global-setup.ts'],
    // One more than the cores of a small machine, because the tests mostly wait for processes to start and
    // stop.
    maxWorkers: 3,
    // In milliseconds. The tests use real sockets and a real Postgres; a test that takes longer is stuck.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
