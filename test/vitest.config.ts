import { defineConfig } from 'vitest/config';
import { serverName } from './servers/s3/known-limits.ts';

export default defineConfig({
  test: {
    dir: import.meta.dirname,
    include: ['**/*.test.ts'],
    globalSetup: ['test/harness/global-setup.ts'],
    ...(serverName() !== undefined && { runner: 'test/servers/s3/known-limits-runner.ts' }),
    // One more than the cores of a small machine, because the tests mostly wait for processes to start and
    // stop.
    maxWorkers: 3,
    // In milliseconds. The tests use real sockets and a real Postgres; a test that takes longer is stuck.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // `expect.poll` waits for an event that must come, and on a busy machine it comes late. A test of how soon the event
    // comes says so with a time-out of its own, or measures the time.
    expect: { poll: { timeout: 10_000 } },
    // Vitest cuts values in titles after 40 characters, so that a log would not tell the cases of a suite apart.
    taskTitleValueFormatTruncate: 0,
  },
});
