import type { Row } from '../../row.ts';
import { mustRefuse } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { headersOfUpload, SAMPLE_BYTES } from '../sample.ts';

export const otherBytes: Row<ProbedBucket> = {
  title: 'a PUT of other bytes than its Content-MD5 is refused',
  invariant: 'I2',
  meaning: 'A file can have other bytes than were announced.',
  remedy: 'Use another server.',
  probe: (bucket) =>
    mustRefuse(bucket, {
      method: 'PUT',
      key: bucket.key('other-bytes'),
      signed: headersOfUpload(bucket, Buffer.from(SAMPLE_BYTES).fill('x')),
      body: SAMPLE_BYTES,
    }),
};
