import { S3_KEY_MAX_BYTES } from '../../../files/rules/s3-key.ts';
import { type Row, yesIf } from '../../row.ts';
import { describe, isSuccess, withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { headersOfUpload, SAMPLE_BYTES } from '../sample.ts';

export const longestKey: Row<ProbedBucket> = {
  title: `a key of ${S3_KEY_MAX_BYTES} bytes is accepted`,
  invariant: 'I6',
  meaning: 'Files with long names or of users with long ids cannot be uploaded.',
  remedy: 'Use another server or another file system below it.',
  async probe(bucket) {
    const key = bucket.key('').padEnd(S3_KEY_MAX_BYTES, 'k');
    const signed = headersOfUpload(bucket);
    const put = await bucket.send({ method: 'PUT', key, signed, body: SAMPLE_BYTES });
    return (await withoutUploads(bucket)) ?? yesIf(isSuccess(put), describe(put));
  },
};
