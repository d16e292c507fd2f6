/**
 * `src/doctor/s3/signatures` has the rows about access: wrong and expired signatures, the clocks that decide about
 * expiry, and headers that no signature covers. Rows about the headers that a URL signs belong to `../uploads`, because
 * these headers describe the uploaded bytes.
 */
import type { Row } from '../../row.ts';
import { mustRefuse } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const wrongSignature: Row<ProbedBucket> = {
  title: 'a URL with a wrong signature is refused',
  invariant: 'I4',
  meaning: 'Every client that reaches S3 can read, replace and remove every file.',
  remedy: 'Use another server. For tests, S3_ALLOW_UNCHECKED_SIGNATURES=true lets the service start.',
  probe: async (bucket) =>
    mustRefuse(bucket, { method: 'GET', key: (await bucket.sample()).key, signature: 'wrong' }),
};
