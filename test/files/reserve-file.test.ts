import { expect, it } from 'vitest';
import type { UploadIntent } from '../../src/files/ports/reservations.ts';
import { type ReservePorts, reserveFile } from '../../src/files/reserve-file.ts';
import type { Fingerprint } from '../../src/files/rules/fingerprint.ts';

it('a create that meets contention until its deadline tries a few times only', async () => {
  let tries = 0;
  const store: Partial<ReservePorts['store']> = {
    reserve: async () => {
      tries++;
      return { refused: 'contention' };
    },
  };
  const intent: Omit<UploadIntent, 's3Key'> = {
    filename: 'a.txt',
    mimeType: 'text/plain',
    fingerprint: 'content' as Fingerprint,
    size: undefined,
  };
  const startMs = performance.now();
  const call = { userId: 'ada', deadline: Date.now() + 1_000 };
  await expect(reserveFile(call, { store } as ReservePorts, intent)).rejects.toMatchObject({
    reason: 'OVERLOADED',
    message: 'concurrent work kept this file from being created; retry',
    retryAfterMs: 1_000,
  });
  expect(performance.now() - startMs).toBeLessThan(2_000);
  expect(tries).toBeGreaterThan(5);
  expect(tries).toBeLessThan(60);
});
