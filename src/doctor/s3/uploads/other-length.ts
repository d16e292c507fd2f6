import type { Row } from '../../row.ts';
import { mustRefuse } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { headersOfUpload, SAMPLE_BYTES } from '../sample.ts';

export const otherLength: Row<ProbedBucket> = {
  title: 'a PUT of another length than its URL signs is refused',
  invariant: 'I2',
  meaning: 'A user can upload more bytes than were announced.',
  remedy: 'Use another server.',
  probe: (bucket) =>
    mustRefuse(bucket, {
      method: 'PUT',
      key: bucket.key('other-length'),
      signed: { ...headersOfUpload(bucket), 'Content-Length': '1' },
      sent: { 'content-length': String(SAMPLE_BYTES.length) },
      body: SAMPLE_BYTES,
    }),
};
