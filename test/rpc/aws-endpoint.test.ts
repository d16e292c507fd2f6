import { describe, expect, it, vi } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { openTestBucket } from '../harness/bucket.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';
import { download, upload } from '../harness/upload.ts';

describe('AWS_ENDPOINT_URL_S3', () => {
  const service = forAllTests(async () => {
    const bucket = await openTestBucket();
    vi.stubEnv('AWS_ENDPOINT_URL_S3', bucket.endpoint);
    return startTestService({ S3_ENDPOINT: '' }, bucket);
  });

  it('serves uploads, lists, downloads and deletes', async () => {
    const files = service.as(newUser());
    const s3Key = await upload(files, 'a.txt', 'abc');
    expect((await files.listFiles({})).files).toMatchObject([{ s3Key, state: FileState.READY }]);
    expect(await download(files, s3Key)).toBe('abc');
    await files.deleteFile({ s3Key });
    expect(await service.bucket.keys(s3Key)).toEqual([]);
  });
});
