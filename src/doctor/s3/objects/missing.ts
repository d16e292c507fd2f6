/**
 * `src/doctor/s3/objects` has the rows about objects that exist, or do not: reading, listing and removing them, the
 * headers of a download, and the settings of the bucket that change these (versions, CORS). A row about how bytes get
 * into the bucket belongs to `../uploads`.
 */
import { type Row, yesIf } from '../../row.ts';
import { describe, withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const missing: Row<ProbedBucket> = {
  title: 'a missing object is answered with 404',
  invariant: 'I6',
  meaning: 'A missing object looks like a refusal, so pending uploads are not verified.',
  remedy: 'Allow s3:ListBucket on the bucket: without it, S3 answers 403.',
  async probe(bucket) {
    const head = await bucket.send({ method: 'HEAD', key: bucket.key('missing') });
    return (await withoutUploads(bucket)) ?? yesIf(head.status === 404, describe(head));
  },
};
