import type { Row } from '../../row.ts';
import { mustRefuse } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { LIFE_SECONDS } from '../send.ts';

export const expiredUrl: Row<ProbedBucket> = {
  title: 'a URL is refused after its expiry',
  invariant: 'I5',
  meaning: 'A URL works for ever, so a deleted file can come back after its row is gone.',
  remedy: 'Use another server.',
  // The URL expired nine minutes ago, so a clock that is some minutes slow does not matter.
  probe: async (bucket) =>
    mustRefuse(bucket, { method: 'GET', key: (await bucket.sample()).key, ageSeconds: LIFE_SECONDS + 540 }),
};
