import { consequence, type Row, yesIf } from '../../row.ts';
import { identifies } from '../etag.ts';
import { expectedEtag } from '../multipart-upload.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const multipartEtag: Row<ProbedBucket> = {
  title: 'a multipart ETag is made of the MD5s of its parts, or HEAD declares SSE-KMS',
  invariant: 'I3',
  meaning: 'The service cannot see what S3 holds, so no multipart upload becomes READY.',
  remedy: 'Use another server.',
  async probe(bucket) {
    const { head } = await bucket.multipartUpload();
    if (head === undefined) return consequence('no multipart upload was completed');
    const { holds, seen } = identifies(head, expectedEtag());
    return yesIf(holds, seen);
  },
};
