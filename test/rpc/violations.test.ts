import { describe, expect, it } from 'vitest';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { PROTOCOLS, startTestService, type TestService } from '../harness/service.ts';

const service = forAllTests(() => startTestService());

type Files = ReturnType<TestService['as']>;

/** Requests with several wrong fields: the reason of the first field, and all fields in their order. */
const REQUESTS: [string, (files: Files) => Promise<unknown>, string, string[]][] = [
  [
    'CreatePresignedUpload',
    (files) => files.createPresignedUpload({ filename: 'a/b', mimeType: 'text', md5: 'x', size: -1n }),
    'INVALID_FILENAME',
    ['filename', 'mime_type', 'md5', 'size'],
  ],
  [
    'CreateMultipartUpload',
    (files) =>
      files.createMultipartUpload({ filename: '', mimeType: '', size: 0n, partMd5s: [new Uint8Array(15)] }),
    'INVALID_FILENAME',
    ['filename', 'mime_type', 'size', 'part_md5s'],
  ],
  [
    'CreatePresignedParts',
    (files) => files.createPresignedParts({ s3Key: '', partNumbers: [] }),
    'INVALID_S3_KEY',
    ['s3_key', 'part_numbers'],
  ],
  [
    'ListFiles with a wrong prefix',
    (files) => files.listFiles({ pageSize: -1, filenamePrefix: '\n' }),
    'INVALID_PAGE_SIZE',
    ['page_size', 'filename_prefix'],
  ],
  [
    'ListFiles with a wrong token',
    (files) => files.listFiles({ pageSize: -1, pageToken: 'x' }),
    'INVALID_PAGE_SIZE',
    ['page_size', 'page_token'],
  ],
];

describe.each(PROTOCOLS)('over %s, all wrong fields of a request have a violation', (protocol) => {
  it.each(REQUESTS)('%s', async (_, call, reason, fields) => {
    const failure = await failureOf(call(service.as(newUser(), protocol)));
    expect(failure).toMatchObject({ code: 'InvalidArgument', reason, fields });
    expect(failure.message).toMatch(new RegExp(`^${fields.length} fields are wrong: `));
  });
});

it('the metadata of all wrong fields is in one ErrorInfo', async () => {
  const failure = await failureOf(
    service
      .as(newUser())
      .createPresignedUpload({ filename: '', mimeType: 'a/b', md5: '0'.repeat(32), size: 2n ** 40n }),
  );
  expect(failure).toMatchObject({
    reason: 'INVALID_FILENAME',
    fields: ['filename', 'size'],
    metadata: { limit_bytes: '5368709120', use_rpc: 'CreateMultipartUpload' },
  });
});
