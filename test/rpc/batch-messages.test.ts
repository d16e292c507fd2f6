/** What fits into the messages of batches. */
import { expect, it } from 'vitest';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const service = forAllTests(() => startTestService());

/** The machine runs other tests at the same time, so the calls get more than the default deadline. */
const PATIENT = { timeoutMs: 20_000 };

/** 255 bytes, as long as ext4 and APFS allow, and begins with the number. */
const NAMES: Record<string, (i: number) => string> = {
  ASCII: (i) => `${i}`.padEnd(251, 'n'),
  commas: (i) => `${i}`.padEnd(251, ','),
  'quotes and brackets': (i) => `${i}`.padEnd(251, '"[{'),
  CJK: (i) => `${i}`.padStart(4, '0').padEnd(86, '文'),
};

const request = (filename: string) => ({
  filename: `${filename}.txt`,
  mimeType: `video/webm;codecs="vp8,opus";${'p'.repeat(60)}=1`,
  md5: md5(filename, 'hex'),
  size: 5n * 1024n ** 3n,
});

it.each(Object.entries(NAMES))('1,000 files with names of 255 bytes fit in binary: %s', async (_, nameOf) => {
  const requests = Array.from({ length: 1_000 }, (_, i) => request(nameOf(i)));
  const { results } = await service.as(newUser()).batchCreatePresignedUploads({ requests }, PATIENT);
  expect(results.filter(({ result }) => result.case === 'response')).toHaveLength(1_000);
});

it.each(Object.entries(NAMES))('and in JSON, even if it escapes what is not ASCII: %s', async (_, nameOf) => {
  const requests = Array.from({ length: 1_000 }, (_, i) => ({ ...request(nameOf(i)), size: '5368709120' }));
  const escaped = JSON.stringify({ requests }).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const response = await fetch(`${service.httpUrl}/files.v1.FileService/BatchCreatePresignedUploads`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-user-id': newUser(),
      'connect-timeout-ms': `${PATIENT.timeoutMs}`,
    },
    body: escaped,
  });
  const { results } = (await response.json()) as { results: { response?: object }[] };
  expect(results.filter(({ response }) => response !== undefined)).toHaveLength(1_000);
});

it('1,000 keys of 240 bytes fit, and a larger message is refused with its limit', async () => {
  const files = service.as(newUser());
  const s3Keys = Array.from({ length: 1_000 }, (_, i) => `${i}`.padEnd(240, 'k'));
  expect((await files.batchGetFiles({ s3Keys })).files).toEqual([]);
  expect(await failureOf(files.batchGetFiles({ s3Keys: s3Keys.map((key) => key.repeat(2)) }))).toMatchObject({
    reason: 'MESSAGE_TOO_LARGE',
    metadata: { limit_bytes: '262144' },
  });
  const requests = Array.from({ length: 1_000 }, (_, i) => request(`${i}`.padEnd(251, '文')));
  expect(await failureOf(files.batchCreatePresignedUploads({ requests }))).toMatchObject({
    reason: 'MESSAGE_TOO_LARGE',
    metadata: { limit_bytes: '524288' },
  });
});
