import { cannotTell, type Row, yesIf } from '../../row.ts';
import { describe, isSuccess } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { textsIn } from '../xml.ts';

export const versioning: Row<ProbedBucket> = {
  title: 'the bucket keeps no versions',
  invariant: 'I5',
  isAdvice: true,
  meaning: 'A delete leaves the bytes behind as a noncurrent version.',
  remedy: 'Expire noncurrent versions by a lifecycle rule, or suspend versioning.',
  async probe(bucket) {
    const answer = await bucket.send({ method: 'GET', key: '', query: { versioning: '' } });
    if (!isSuccess(answer)) return cannotTell(describe(answer));
    const [status = 'off'] = textsIn(answer.body, 'Status');
    return yesIf(status !== 'Enabled', status);
  },
};
