import { type Row, yesIf } from '../../row.ts';
import { withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const encryption: Row<ProbedBucket> = {
  title: 'S3 says that it encrypts objects',
  isAdvice: true,
  meaning: 'Bytes may lie on disks in plain text.',
  remedy:
    'Turn on the default encryption of the bucket, or S3_UPLOAD_HEADERS=x-amz-server-side-encryption=AES256.',
  async probe(bucket) {
    const { head } = await bucket.sample();
    const declared = head.headers['x-amz-server-side-encryption'];
    return (
      (await withoutUploads(bucket)) ?? yesIf(declared !== undefined, declared ?? 'HEAD declares nothing')
    );
  },
};
