/**
 * `src/doctor/s3/multipart` has the rows about uploads in parts. They only interpret the answers to two uploads:
 * `../multipart-upload.ts` completes one, and `../aborted-upload.ts` aborts the other. A row about a single PUT belongs
 * to `../uploads`.
 */
import { no, type Row, yes } from '../../row.ts';
import { describe } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const completed: Row<ProbedBucket> = {
  title: 'a multipart upload of two parts is completed',
  meaning: 'Files above 5 GiB cannot be uploaded, and no upload can be resumed.',
  remedy: 'Check the role (s3:PutObject, s3:ListMultipartUploadParts) and what the bucket policy demands.',
  async probe(bucket) {
    const { refused } = await bucket.multipartUpload();
    return refused === undefined ? yes('200') : no(`${refused.step}: ${describe(refused.answer)}`);
  },
};
