import { afterEach, expect, it, vi } from 'vitest';
import { createReadiness } from '../src/server/readiness.ts';

afterEach(() => void vi.useRealTimers());

it('takes one look in vain for a slow moment, and two in a row for a loss', async () => {
  vi.useFakeTimers();
  const answers = [true, false, true, false, false, true];
  const told: boolean[] = [];
  const readiness = createReadiness({
    checkDatabase: async () => {
      if (answers.shift() === false) throw new Error('no answer');
    },
    checkStorage: async () => undefined,
    onChange: ({ database }) => told.push(database),
  });
  await readiness.start();
  const seen = [readiness.current.database];
  for (let i = 0; i < 5; i++) {
    await vi.advanceTimersByTimeAsync(1_000);
    seen.push(readiness.current.database);
  }
  readiness.stop();
  expect(seen).toEqual([true, true, true, true, false, true]);
  expect(told).toEqual([true, false, true]);
});
