import { type Row, yesIf } from '../../row.ts';
import { describe, withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { headersOfUpload, SAMPLE_BYTES } from '../sample.ts';

export const removed: Row<ProbedBucket> = {
  title: 'a removed object is gone, and removing it twice succeeds',
  invariant: 'I5',
  meaning: 'The bytes of deleted files stay.',
  remedy: 'Check the role (s3:DeleteObject), object locks and bucket policies.',
  async probe(bucket) {
    const key = bucket.key('removed');
    await bucket.send({ method: 'PUT', key, signed: headersOfUpload(bucket), body: SAMPLE_BYTES });
    const first = await bucket.send({ method: 'DELETE', key });
    const head = await bucket.send({ method: 'HEAD', key });
    const second = await bucket.send({ method: 'DELETE', key });
    const holds = first.status === 204 && head.status === 404 && second.status === 204;
    const seen = `${describe(first)}, HEAD: ${describe(head)}, again: ${describe(second)}`;
    return (await withoutUploads(bucket)) ?? yesIf(holds, seen);
  },
};
