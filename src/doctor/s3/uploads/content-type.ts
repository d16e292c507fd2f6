import { type Row, yesIf } from '../../row.ts';
import { withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { SAMPLE_TYPE } from '../sample.ts';

export const contentType: Row<ProbedBucket> = {
  title: 'the Content-Type of an object is kept',
  invariant: 'I3',
  meaning: 'The type of a file differs from what was announced.',
  remedy: 'Use another server.',
  async probe(bucket) {
    const { head } = await bucket.sample();
    const type = head.headers['content-type'] ?? 'no Content-Type';
    return (await withoutUploads(bucket)) ?? yesIf(type === SAMPLE_TYPE, type);
  },
};
