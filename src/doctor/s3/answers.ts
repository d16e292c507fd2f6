import { cannotTell, type Finding, no, yes } from '../row.ts';
import type { ProbedBucket } from './probed-bucket.ts';
import type { ProbeRequest, S3Answer } from './send.ts';

export function describe({ status, code }: S3Answer): string {
  return code === '' ? String(status) : `${status} ${code}`;
}

export const isSuccess = ({ status }: S3Answer): boolean => status >= 200 && status < 300;

/** Whether S3 refused the request because of the request itself. 429 and 5xx are about the server. */
export const wasRefused = ({ status }: S3Answer): boolean => status >= 400 && status < 500 && status !== 429;

/** The finding about a request that S3 must refuse: yes if S3 refuses it. */
export async function mustRefuse(bucket: ProbedBucket, request: ProbeRequest): Promise<Finding> {
  return (await withoutUploads(bucket)) ?? refused(await bucket.send(request));
}

export function refused(answer: S3Answer): Finding {
  if (wasRefused(answer)) return yes(describe(answer));
  return isSuccess(answer) ? no(`${describe(answer)}, accepted`) : cannotTell(describe(answer));
}

/** A refusal tells nothing if S3 also refuses a correct PUT, for example because of a wrong secret. */
export async function withoutUploads(bucket: ProbedBucket): Promise<Finding | undefined> {
  const { put } = await bucket.sample();
  return isSuccess(put) ? undefined : cannotTell(`S3 refuses a correct PUT: ${describe(put)}`);
}
