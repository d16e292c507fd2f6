import pg from 'pg';
import type { Logger } from 'pino';
import { afterEach, expect, it, vi } from 'vitest';
import type { Metrics } from '../../src/observability/metrics.ts';
import type { Health } from '../../src/rpc/health.ts';
import { createReadiness, reportReadiness } from '../../src/server/readiness.ts';

afterEach(() => void vi.useRealTimers());

it('reports whether Postgres commits writes, beside whether it serves reads', async () => {
  const answers = [{ writes: true }, { writes: false }, { writes: true }, undefined, undefined];
  vi.useFakeTimers();
  const seen: unknown[] = [];
  const checks = {
    database: async () => {
      const answer = answers.shift();
      if (answer === undefined) throw new Error('no answer');
      return answer;
    },
    storage: async () => undefined,
    signatures: async () => true,
  };
  const readiness = createReadiness(checks, ({ database, databaseWrites }) =>
    seen.push({ database, databaseWrites }),
  );
  await readiness.start();
  for (let i = 0; i < 4; i++) await vi.advanceTimersByTimeAsync(1_000);
  readiness.stop();
  expect(seen).toEqual([
    { database: true, databaseWrites: true },
    { database: true, databaseWrites: false },
    { database: true, databaseWrites: true },
    { database: false, databaseWrites: false },
  ]);
});

it('stays ready after one failed health check, and becomes not ready after two failures in a row', async () => {
  vi.useFakeTimers();
  const answers = [true, false, true, false, false, true];
  const changes: boolean[] = [];
  const checks = {
    database: async () => {
      if (answers.shift() === false) throw new Error('no answer');
      return { writes: true };
    },
    storage: async () => undefined,
    signatures: async () => true,
  };
  const readiness = createReadiness(checks, ({ database }) => changes.push(database));
  await readiness.start();
  const seen = [readiness.current.database];
  for (let i = 0; i < 5; i++) {
    await vi.advanceTimersByTimeAsync(1_000);
    seen.push(readiness.current.database);
  }
  readiness.stop();
  expect(seen).toEqual([true, true, true, true, false, true]);
  expect(changes).toEqual([true, false, true]);
});

it.each([
  ['42P01', 'the schema is missing or of an older release: run "npm run migrate"'],
  ['42703', 'the schema is missing or of an older release: run "npm run migrate"'],
  ['57P03', 'Postgres or S3 does not answer'],
])('logs what to do after the error %s of Postgres', (code, message) => {
  const gauge = { set: vi.fn() };
  const log = { error: vi.fn(), info: vi.fn() };
  const report = reportReadiness({
    health: { set: vi.fn() } as unknown as Health,
    log: log as unknown as Logger,
    metrics: { serving: gauge, databaseWrites: gauge, signaturesUnchecked: gauge } as unknown as Metrics,
    allowUncheckedSignatures: false,
  });
  const now = { database: false, databaseWrites: false, storage: true, signatures: true };
  const error = Object.assign(new pg.DatabaseError('the words', 0, 'error'), { code });
  report(now, error);
  expect(log.error.mock.calls).toEqual([[{ ...now, err: error }, message]]);
});
