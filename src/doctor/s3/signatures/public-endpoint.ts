import { type Row, yesIf } from '../../row.ts';
import { describe, withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { SAMPLE_BYTES } from '../sample.ts';

export const publicEndpoint: Row<ProbedBucket> = {
  title: 'URLs with S3_PUBLIC_ENDPOINT reach the bucket',
  meaning: 'No user can upload or download.',
  remedy:
    'Check S3_PUBLIC_ENDPOINT, its certificate, and that its proxy passes on the Host header and the path.',
  async probe(bucket) {
    const { key } = await bucket.sample();
    const unknown = await withoutUploads(bucket);
    if (unknown !== undefined) return unknown;
    const answer = await bucket.sendPublicly({ method: 'GET', key });
    return yesIf(answer.body === SAMPLE_BYTES.toString(), describe(answer));
  },
};
