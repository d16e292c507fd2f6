/**
 * `src/doctor/s3/bucket` has the row that all other rows about the bucket need, and the command that creates a missing
 * bucket. Rows about the settings of a bucket (versions, CORS) belong to `../objects`, because they need a bucket that
 * can be used.
 */
import { adviceFor } from '../../../s3/answers/refusals.ts';
import { cannotTell, type Finding, no, type Row, yes } from '../../row.ts';
import { describe, isSuccess, wasRefused } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import type { S3Answer } from '../send.ts';

export const usable: Row<ProbedBucket> = {
  title: 'the bucket is there, and S3 accepts the keys',
  meaning: 'No user can upload or download.',
  remedy:
    'Check S3_ENDPOINT, the network, and whether the S3 server runs. For a private authority, set NODE_EXTRA_CA_CERTS.',
  async probe({ send, settings }) {
    const list = await send({ method: 'GET', key: '', query: { 'list-type': '2', 'max-keys': '1' } });
    // A role that may not list the bucket may still be allowed to upload.
    if (isSuccess(list) || isDenied(list)) return yes(describe(list));
    if (!wasRefused(list) && !isRedirect(list)) return cannotTell(describe(list));
    return { ...no(describe(list)), ...remedyFor(list, settings.createCommand) };
  },
};

/** Whether S3 knows the bucket and the keys, and denies only this request. A proxy may deny it without a code. */
function isDenied({ status, code }: S3Answer): boolean {
  return status === 403 && (code === 'AccessDenied' || code === '');
}

/** S3 redirects requests about a bucket of another region. */
function isRedirect({ status }: S3Answer): boolean {
  return status >= 300 && status < 400;
}

function remedyFor({ status, code }: S3Answer, command: string): Pick<Finding, 'remedy' | 'command'> {
  if (code === 'NoSuchBucket')
    return { remedy: 'Check S3_BUCKET and S3_ENDPOINT, or create the bucket:', command };
  const advice = adviceFor(status, code, 'service');
  return { remedy: `${advice.charAt(0).toUpperCase()}${advice.slice(1)}.` };
}
