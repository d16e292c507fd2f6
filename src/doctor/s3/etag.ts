import { describe, isSuccess } from './answers.ts';
import type { S3Answer } from './send.ts';

/**
 * Whether the answer to a HEAD proves that S3 holds the content with the ETag `expected`. With SSE-KMS, the ETag of an
 * object says nothing about its content. Then the service compares only sizes, so every ETag is accepted.
 */
export function identifies(head: S3Answer, expected: string): { holds: boolean; seen: string } {
  if (!isSuccess(head)) return { holds: false, seen: `HEAD: ${describe(head)}` };
  const { etag = 'no ETag', 'x-amz-server-side-encryption': encryption = '' } = head.headers;
  if (encryption.startsWith('aws:kms')) return { holds: true, seen: `${encryption}, so sizes are compared` };
  const holds = etag.replaceAll('"', '') === expected;
  return { holds, seen: holds ? 'equal' : `${etag} instead of ${expected}` };
}
