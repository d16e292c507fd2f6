import { type Row, yesIf } from '../../row.ts';
import { withoutUploads } from '../answers.ts';
import { identifies } from '../etag.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { digestOf, SAMPLE_BYTES } from '../sample.ts';

export const etag: Row<ProbedBucket> = {
  title: 'the ETag of an object is its MD5, or HEAD declares SSE-KMS',
  invariant: 'I3',
  meaning: 'The service cannot see what S3 holds, so no upload becomes READY.',
  remedy: 'Use another server, or turn off what changes the ETag (compression, a proxy).',
  async probe(bucket) {
    const { head } = await bucket.sample();
    const { holds, seen } = identifies(head, digestOf(SAMPLE_BYTES, 'hex'));
    return (await withoutUploads(bucket)) ?? yesIf(holds, seen);
  },
};
