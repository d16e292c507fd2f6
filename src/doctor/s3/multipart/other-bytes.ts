import { consequence, type Row } from '../../row.ts';
import { describe, refused } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const partOtherBytes: Row<ProbedBucket> = {
  title: 'a part with other bytes than its Content-MD5 is refused',
  invariant: 'I2',
  meaning: 'A multipart file can have other bytes than were announced.',
  remedy: 'Use another server.',
  async probe(bucket) {
    const { begun, steps } = await bucket.abortedUpload();
    if (steps === undefined) return consequence(`CreateMultipartUpload: ${describe(begun)}`);
    return refused(steps.otherBytes);
  },
};
