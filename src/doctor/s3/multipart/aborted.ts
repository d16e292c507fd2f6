import { consequence, type Row, yesIf } from '../../row.ts';
import { describe, isSuccess } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const aborted: Row<ProbedBucket> = {
  title: 'an aborted multipart upload is gone',
  invariant: 'I6',
  meaning: 'The parts of abandoned uploads stay in the bucket for ever.',
  remedy: 'Use another server; check the role (s3:AbortMultipartUpload).',
  async probe(bucket) {
    const { begun, steps } = await bucket.abortedUpload();
    if (steps === undefined) return consequence(`CreateMultipartUpload: ${describe(begun)}`);
    const seen = `${describe(steps.aborted)}, then ListParts: ${describe(steps.parts)}`;
    return yesIf(isSuccess(steps.aborted) && steps.parts.status === 404, seen);
  },
};
