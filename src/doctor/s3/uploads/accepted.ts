/**
 * `src/doctor/s3/uploads` has the rows about a single PUT: which PUTs S3 accepts, and what a HEAD then tells about the
 * object. Rows about uploads in parts belong to `../multipart`, and rows about objects that are read, listed or removed
 * to `../objects`.
 */
import { type Row, yesIf } from '../../row.ts';
import { describe, isSuccess } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const accepted: Row<ProbedBucket> = {
  title: 'a PUT with the required headers is accepted',
  meaning: 'No user can upload.',
  remedy:
    'Check keys, S3_BUCKET, S3_REGION, S3_ENDPOINT, the role, and what the bucket policy demands (S3_UPLOAD_HEADERS).',
  async probe(bucket) {
    const { put } = await bucket.sample();
    return yesIf(isSuccess(put), describe(put));
  },
};
