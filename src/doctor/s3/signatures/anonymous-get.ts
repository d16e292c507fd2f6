import type { Row } from '../../row.ts';
import { mustRefuse } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const anonymousGet: Row<ProbedBucket> = {
  title: 'a GET without a signature is refused',
  invariant: 'I4',
  meaning: 'Every client that reaches S3 and guesses a key can read the file.',
  remedy:
    'Make the bucket private: block public access, and remove policies and ACLs that allow anonymous reads.',
  probe: async (bucket) =>
    mustRefuse(bucket, { method: 'GET', key: (await bucket.sample()).key, signature: 'none' }),
};
