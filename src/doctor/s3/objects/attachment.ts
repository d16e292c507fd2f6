import { type Row, yesIf } from '../../row.ts';
import { withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';

export const attachment: Row<ProbedBucket> = {
  title: 'a download is an attachment with its own name (Content-Disposition)',
  invariant: 'I4',
  meaning: 'A browser shows an uploaded page in the origin of S3, and runs its scripts there.',
  remedy: 'Use another server, or an origin for S3 that has no cookies.',
  async probe(bucket) {
    const { get } = await bucket.download();
    const disposition = get.headers['content-disposition'];
    const expected = bucket.settings.downloadQuery['response-content-disposition'];
    const holds = disposition !== undefined && disposition === expected;
    const seen = holds ? 'as signed' : (disposition ?? 'no Content-Disposition');
    return (await withoutUploads(bucket)) ?? yesIf(holds, seen);
  },
};
