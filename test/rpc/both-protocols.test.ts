import { createClient } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { PROTOCOLS, startTestService, type TestService } from '../harness/service.ts';

const service = forAllTests(() => startTestService());

type Files = ReturnType<TestService['as']>;

/**
 * The answer as text, without the parts that depend on the user or the time. All other parts must be equal.
 */
function comparable(answer: unknown, user: string): string {
  return JSON.stringify(answer, (name, value) => {
    if (['expireTime', 'createTime', 'lastModified'].includes(name)) return typeof value;
    if (name === 'presignedUrl')
      return String(value).replace(/\?.*/, (q) => [...new URLSearchParams(q).keys()].join());
    return typeof value === 'bigint' ? `${value}n` : value;
  }).replaceAll(user, 'USER');
}

const text = (bytes: string) => ({ filename: 'a b.txt', mimeType: 'text/plain', md5: md5(bytes) });

/** Sequences of calls that return every answer. */
const ANSWERS: [string, (files: Files, user: string) => Promise<unknown[]>][] = [
  [
    'create, upload, list, get, download and delete a file',
    async (files, user) => {
      const created = await files.createPresignedUpload({ ...text('life'), size: 4n });
      const pending = await files.getFile({ s3Key: created.s3Key });
      await put(created, 'life');
      return [
        created,
        pending,
        await files.listFiles({}),
        await files.getFile({ s3Key: created.s3Key }),
        await files.createPresignedUpload(text('life')),
        await files.createPresignedDownload({ s3Key: created.s3Key }),
        await files.deleteFile({ s3Key: created.s3Key }),
        await files.listFiles({ filenamePrefix: user }),
      ];
    },
  ],
  [
    'list three files in pages of two',
    async (files) => {
      const pages = [];
      for (const bytes of ['1', '2', '3']) {
        await put(await files.createPresignedUpload({ ...text(bytes), filename: `${bytes}.txt` }), bytes);
      }
      let pageToken = '';
      do {
        const page = await files.listFiles({ pageSize: 2, pageToken });
        pages.push(page.files.length);
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      return pages;
    },
  ],
];

/** Every error that a caller can cause, with its reason. */
const FAILURES: [string, (files: Files) => Promise<unknown>][] = [
  ['INVALID_FILENAME', (files) => files.createPresignedUpload({ ...text('a'), filename: 'ä/ö' })],
  ['INVALID_MIME_TYPE', (files) => files.createPresignedUpload({ ...text('a'), mimeType: 'a' })],
  ['INVALID_MD5', (files) => files.createPresignedUpload({ ...text('a'), md5: 'x' })],
  ['INVALID_SIZE', (files) => files.createPresignedUpload({ ...text('a'), size: -5n })],
  ['FILE_TOO_LARGE', (files) => files.createPresignedUpload({ ...text('a'), size: 2n ** 40n })],
  ['INVALID_PAGE_SIZE', (files) => files.listFiles({ pageSize: -1 })],
  ['INVALID_PAGE_TOKEN', (files) => files.listFiles({ pageToken: 'x' })],
  ['INVALID_FILENAME', (files) => files.listFiles({ filenamePrefix: '\n' })],
  ['INVALID_S3_KEY', (files) => files.getFile({ s3Key: '' })],
  ['INVALID_S3_KEY', (files) => files.deleteFile({ s3Key: 'x'.repeat(513) })],
  ['INVALID_S3_KEY', (files) => files.createPresignedDownload({ s3Key: '\0' })],
  ['FILE_NOT_FOUND', (files) => files.getFile({ s3Key: 'Grüße "%" 日本' })],
  ['FILE_NOT_FOUND', (files) => files.deleteFile({ s3Key: 'u_x.txt' })],
  ['FILE_NOT_FOUND', (files) => files.createPresignedDownload({ s3Key: 'u_x.txt' })],
  [
    'UPLOAD_INCOMPLETE',
    async (files) =>
      files.createPresignedDownload({ s3Key: (await files.createPresignedUpload(text('never'))).s3Key }),
  ],
];

/** Makes the same call over each protocol, each time for a new user. */
async function overEachProtocol<Result>(
  call: (files: Files, user: string) => Promise<Result>,
): Promise<[Result, string][]> {
  const results: [Result, string][] = [];
  for (const protocol of PROTOCOLS) {
    const user = newUser();
    results.push([await call(service.as(user, protocol), user), user]);
  }
  return results;
}

describe('every protocol gives the same answer', () => {
  it.each(ANSWERS)('%s', async (_, call) => {
    const answers = (await overEachProtocol(call)).map(([answer, user]) => comparable(answer, user));
    expect(new Set(answers).size).toBe(1);
  });
});

describe('every protocol gives the same code, reason, message and details', () => {
  it.each(FAILURES)('%s', async (reason, call) => {
    const failures = (await overEachProtocol((files) => failureOf(call(files)))).map(([failure, user]) =>
      comparable(failure, user),
    );
    expect(JSON.parse(failures[0] ?? '')).toMatchObject({ reason, domain: 'files.v1' });
    expect(new Set(failures).size).toBe(1);
  });

  it('a deadline that has passed', async () => {
    const failures = await overEachProtocol(async (files) =>
      failureOf(files.listFiles({}, { timeoutMs: 1 })),
    );
    for (const [failure] of failures) expect(failure.code).toBe('DeadlineExceeded');
  });

  it('an unknown method', async () => {
    const unknown = { ...FileService.method.listFiles, name: 'NoSuchMethod' };
    for (const protocol of PROTOCOLS) {
      const transport = service.transport(protocol, { 'x-user-id': 'u' });
      expect(await failureOf(transport.unary(unknown, undefined, undefined, undefined, {}))).toMatchObject({
        code: 'Unimplemented',
        reason: 'UNIMPLEMENTED',
      });
    }
  });
});

it('an unexpected error is sent as `internal error`, without its own text', async () => {
  await using broken = await startTestService();
  await broken.pool.query('alter table files rename column etag to something_else');
  for (const protocol of PROTOCOLS) {
    const client = createClient(FileService, broken.transport(protocol, { 'x-user-id': 'u' }));
    const failure = await failureOf(client.getFile({ s3Key: 'u_x' }));
    expect(failure).toMatchObject({ code: 'Internal', message: 'internal error', reason: 'INTERNAL' });
  }
  const metrics = await (await fetch(`${broken.httpUrl}/metrics`)).text();
  expect(metrics).toContain('files_calls_total{method="GetFile",code="INTERNAL",reason=""} 3');
});
