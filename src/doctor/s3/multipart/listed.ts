import { consequence, type Row, yesIf } from '../../row.ts';
import { describe, isSuccess } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { textsIn } from '../xml.ts';

export const listed: Row<ProbedBucket> = {
  title: 'open multipart uploads are listed',
  invariant: 'I6',
  meaning: 'An upload that a crashed call began is never found, and its parts stay for ever.',
  remedy: 'Use another server; check the role (s3:ListBucketMultipartUploads).',
  async probe(bucket) {
    const { key, begun, steps } = await bucket.abortedUpload();
    if (steps === undefined) return consequence(`CreateMultipartUpload: ${describe(begun)}`);
    const isListed = textsIn(steps.open.body, 'Key').includes(key);
    return yesIf(isListed, isListed || !isSuccess(steps.open) ? describe(steps.open) : '200, but not listed');
  },
};
