import { cannotTell, consequence, type Finding, no, yes } from '../row.ts';
import type { ProbedBucket } from './probed-bucket.ts';
import type { ProbeRequest, S3Answer } from './send.ts';

export function describe({ status, code }: S3Answer): string {
  return code === '' ? String(status) : `${status} ${code}`;
}

export const isSuccess = ({ status }: S3Answer): boolean => status >= 200 && status < 300;

/**
 * Whether S3 refused the request for what it is, and not because the server is overloaded (429) or broken (5xx). Every
 * status of 4xx except 429 counts as a refusal.
 */
export const wasRefused = ({ status }: S3Answer): boolean => status >= 400 && status < 500 && status !== 429;

/**
 * Sends a request that S3 must refuse. The answer is `yes` if S3 refuses the request, `no` if S3 accepts it, and
 * `cannot tell` if S3 refuses even a correct PUT, is overloaded or is broken.
 */
export async function mustRefuse(bucket: ProbedBucket, request: ProbeRequest): Promise<Finding> {
  return (await withoutUploads(bucket)) ?? refused(await bucket.send(request));
}

export function refused(answer: S3Answer): Finding {
  if (wasRefused(answer)) return yes(describe(answer));
  return isSuccess(answer) ? no(`${describe(answer)}, accepted`) : cannotTell(describe(answer));
}

/**
 * Returns the finding `cannot tell` if S3 refuses even a correct PUT, for example because of a wrong secret. Then the
 * refusal of another request proves nothing. Returns `undefined` if S3 accepts the correct PUT.
 */
export async function withoutUploads(bucket: ProbedBucket): Promise<Finding | undefined> {
  const { put } = await bucket.sample();
  return isSuccess(put) ? undefined : consequence(`S3 refuses a correct PUT: ${describe(put)}`);
}
