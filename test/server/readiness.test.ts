import { afterEach, expect, it, vi } from 'vitest';
import { createReadiness } from '../../src/server/readiness.ts';

afterEach(() => void vi.useRealTimers());

it('stays ready after one failed health check, and becomes not ready after two failures in a row', async () => {
  vi.useFakeTimers();
  const answers = [true, false, true, false, false, true];
  const changes: boolean[] = [];
  const readiness = createReadiness({
    checkDatabase: async () => {
      if (answers.shift() === false) throw new Error('no answer');
    },
    checkStorage: async () => undefined,
    checkSignatures: async () => true,
    onChange: ({ database }) => changes.push(database),
  });
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
