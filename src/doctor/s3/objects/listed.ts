import { type Row, yesIf } from '../../row.ts';
import { describe, isSuccess, withoutUploads } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { textsIn } from '../xml.ts';

export const objectListed: Row<ProbedBucket> = {
  title: 'an object is in the list of the bucket at once',
  invariant: 'I6',
  meaning: '`npm run reconcile` takes files for lost.',
  remedy: 'Use another server; check the role (s3:ListBucket).',
  async probe(bucket) {
    const { key } = await bucket.sample();
    const list = await bucket.send({ method: 'GET', key: '', query: { 'list-type': '2', prefix: key } });
    const holds = textsIn(list.body, 'Key').includes(key);
    const seen = holds || !isSuccess(list) ? describe(list) : '200, but not listed';
    return (await withoutUploads(bucket)) ?? yesIf(holds, seen);
  },
};
