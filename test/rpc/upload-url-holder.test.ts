/** What the holder of an upload URL can do beside the one PUT that the URL is for, and what the owner and the readers see. */
import { get as httpGet, type IncomingHttpHeaders } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { type CreatePresignedUploadResponse, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf } from '../harness/failure.ts';
import { md5, newUser } from '../harness/made-up.ts';
import { total } from '../harness/metrics.ts';
import { put, putTo } from '../harness/put.ts';
import { startTestService, type TestService } from '../harness/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

/** 48 kB that a client which obeys `Content-Encoding: gzip` delivers as 50 MB. */
const BOMB = gzipSync(Buffer.alloc(50_000_000));
const BOMB_FILE = { filename: 'report.pdf', mimeType: 'application/pdf', md5: md5(BOMB) };

/** All of them are stored, though the URL does not sign them. */
const UNSIGNED = {
  'Content-Encoding': 'gzip',
  'Cache-Control': 'public, max-age=31536000',
  Expires: 'Fri, 01 Jan 2100 00:00:00 GMT',
  'Content-Language': 'tlh',
  'Content-Disposition': 'inline',
};

const MISMATCH = { code: 'FailedPrecondition', reason: 'CONTENT_MISMATCH' };

const putWith = (
  { presignedUrl, requiredHeaders }: CreatePresignedUploadResponse,
  headers: Record<string, string>,
  bytes: Uint8Array,
) => putTo(presignedUrl, { ...requiredHeaders, ...headers }, bytes);

/** Lets a row's last look be older than the trust window. */
const forgetLooks = (user: string) =>
  service.pool.query(`update files set seen_at = now() - interval '1 day' where user_id = $1`, [user]);

const mismatches = () => total(service.httpUrl, 'files_content_mismatches_total');

/** What goes over the network: `fetch` hides a coding that it has undone. */
function getRaw(url: string): Promise<{ headers: IncomingHttpHeaders; bytes: Buffer }> {
  return new Promise((resolve, reject) => {
    httpGet(url, { agent: false }, async (response) => {
      resolve({ headers: response.headers, bytes: Buffer.concat(await response.toArray()) });
    }).on('error', reject);
  });
}

async function expectAnnouncedDownload(url: string) {
  const raw = await getRaw(url);
  expect(raw.headers).toMatchObject({
    'content-type': 'application/pdf',
    'content-disposition': `attachment; filename="report.pdf"; filename*=UTF-8''report.pdf`,
    'content-encoding': 'identity',
    'cache-control': 'no-store',
    expires: 'Thu, 01 Jan 1970 00:00:00 GMT',
    'content-language': 'und',
    'content-length': `${BOMB.length}`,
  });
  expect(md5(raw.bytes)).toBe(BOMB_FILE.md5);
  // A client that undoes codings delivers the same bytes.
  const delivered = Buffer.from(await (await fetch(url)).arrayBuffer());
  expect([delivered.length, md5(delivered)]).toEqual([BOMB.length, BOMB_FILE.md5]);
}

describe('headers that the URL does not sign', () => {
  it('with a Content-Encoding: the object is a mismatch, never READY and never EXISTING', async () => {
    const files = service.as(newUser());
    const answer = await files.createPresignedUpload(BOMB_FILE);
    expect(await putWith(answer, UNSIGNED, BOMB)).toMatchObject({ status: 200 });
    const before = await mismatches();

    const { s3Key } = answer;
    expect((await files.listFiles({})).files).toEqual([]);
    expect(await failureOf(files.getFile({ s3Key }))).toMatchObject(MISMATCH);
    expect(await failureOf(files.createPresignedDownload({ s3Key }))).toMatchObject(MISMATCH);
    const again = await files.createPresignedUpload(BOMB_FILE);
    expect(again).toMatchObject({ type: UploadType.NEW, s3Key });
    expect(await mismatches()).toBe(before + 4);

    // The PUT as it should be mends it.
    await put(again, BOMB);
    expect((await files.getFile({ s3Key })).file?.state).toBe(FileState.READY);
    await expectAnnouncedDownload((await files.createPresignedDownload({ s3Key })).presignedUrl);
  });

  it('without a Content-Encoding: the file is READY, and its download has none of them', async () => {
    const files = service.as(newUser());
    const answer = await files.createPresignedUpload(BOMB_FILE);
    await putWith(answer, { ...UNSIGNED, 'Content-Encoding': 'identity' }, BOMB);
    expect((await files.listFiles({})).files).toHaveLength(1);
    const { presignedUrl } = await files.createPresignedDownload({ s3Key: answer.s3Key });
    await expectAnnouncedDownload(presignedUrl);
  });

  it('sent again over a READY file: downloads stay as announced, and the next look says mismatch', async () => {
    const user = newUser();
    const files = service.as(user);
    const answer = await files.createPresignedUpload(BOMB_FILE);
    await put(answer, BOMB);
    const { s3Key } = answer;
    const before = await files.createPresignedDownload({ s3Key });
    expect(await putWith(answer, UNSIGNED, BOMB)).toMatchObject({ status: 200 });

    await expectAnnouncedDownload(before.presignedUrl);
    await expectAnnouncedDownload((await files.createPresignedDownload({ s3Key })).presignedUrl);
    await forgetLooks(user);
    expect(await failureOf(files.createPresignedDownload({ s3Key }))).toMatchObject(MISMATCH);
    expect(await failureOf(files.getFile({ s3Key }))).toMatchObject(MISMATCH);
    expect((await files.listFiles({})).files).toEqual([]);
  });

  it('with a part: the object has the Content-Encoding that the service chose, which is none', async () => {
    const files = service.as(newUser());
    const bytes = Buffer.from('one part');
    const { s3Key } = await files.createMultipartUpload({
      filename: 'part.bin',
      mimeType: 'application/pdf',
      size: BigInt(bytes.length),
      partMd5s: [Buffer.from(md5(bytes), 'base64')],
    });
    const { parts } = await files.createPresignedParts({ s3Key, partNumbers: [1] });
    for (const { presignedUrl, requiredHeaders } of parts) {
      expect(await putTo(presignedUrl, { ...requiredHeaders, ...UNSIGNED }, bytes)).toMatchObject({
        status: 200,
      });
    }
    expect((await files.completeMultipartUpload({ s3Key })).file?.state).toBe(FileState.READY);
  });
});
