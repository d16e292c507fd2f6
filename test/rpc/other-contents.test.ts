import { expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { md5 } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const service = forAllTests(startTestService);

/** Without `jit = off`, a stock Postgres needed 240 to 969 ms for each of these calls. */
const MEDIAN_MAX_MS = 15;

/** A busy machine delays one try. A slow statement delays each try. */
const TRIES = 3;

it('25 creates of one name with other contents take 15 ms at the median', async () => {
  const medians: number[] = [];
  for (let tried = 0; tried < TRIES; tried++) medians.push(await medianMs(`user-${tried}`));
  expect(Math.min(...medians)).toBeLessThanOrEqual(MEDIAN_MAX_MS);
});

async function medianMs(user: string): Promise<number> {
  const client = service.as(user);
  const create = (content: string) =>
    client.createPresignedUpload({ filename: 'report.pdf', mimeType: 'application/pdf', md5: md5(content) });
  await create('first');
  const times: number[] = [];
  const keys = new Set<string>();
  for (let i = 0; i < 25; i++) {
    const startMs = performance.now();
    const { s3Key } = await create(`content ${i}`);
    times.push(performance.now() - startMs);
    keys.add(s3Key);
  }
  expect(keys.size).toBe(25);
  return times.sort((a, b) => a - b)[12] ?? 0;
}
