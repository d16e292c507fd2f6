import { expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { md5 } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const service = forAllTests(startTestService);

/** A create needs 1.5 to 2 times the time of a list. Compiled by a stock Postgres (`jit`), it needed 240 to 969 ms. */
const TIMES_A_LIST_MAX = 15;

/** A busy machine delays one try. A slow statement delays each try. */
const TRIES = 3;

it('25 creates of one name with other contents take at most 15 times as long as lists', async () => {
  const ratios: number[] = [];
  for (let tried = 0; tried < TRIES; tried++) ratios.push(await timesAList(`user-${tried}`));
  expect(Math.min(...ratios)).toBeLessThanOrEqual(TIMES_A_LIST_MAX);
});

/** The median of the creates, as a multiple of the median of lists, which take turns with the creates. */
async function timesAList(user: string): Promise<number> {
  const client = service.as(user);
  const keys = new Set<string>();
  const create = async (content: string) => {
    const request = { filename: 'report.pdf', mimeType: 'application/pdf', md5: md5(content) };
    keys.add((await client.createPresignedUpload(request)).s3Key);
  };
  // A list of a user without files sends one statement.
  const list = () => service.as(`${user}-without-files`).listFiles({});
  await create('first');
  const createMs: number[] = [];
  const listMs: number[] = [];
  for (let i = 0; i < 25; i++) {
    createMs.push(await timeOf(() => create(`content ${i}`)));
    listMs.push(await timeOf(list));
  }
  expect(keys.size).toBe(26);
  return median(createMs) / median(listMs);
}

async function timeOf(call: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await call();
  return performance.now() - startMs;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[12] ?? 0;
