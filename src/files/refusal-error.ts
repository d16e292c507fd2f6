import { FileError } from './file-error.ts';

export interface Refusal {
  /** The name of the operation, as the documents of S3 spell it. */
  operation: string;
  /** The HTTP status. */
  status: number;
  /** S3's error code, such as `SignatureDoesNotMatch`. Empty if the answer has none. */
  code: string;
  /**
   * `object` if S3 refuses only requests about this object: its key is too long for the server, or a policy denies
   * reading it until a scanner has tagged it. `operation` if S3 refuses this operation, because the role lacks a
   * permission or the server does not support it. `service` if S3 refuses every request: the bucket, the keys, the region
   * or a clock is wrong. So any success disproves it.
   */
  about: 'object' | 'operation' | 'service';
}

/**
 * S3 answered and refused a request. A refusal is not an outage: S3 refuses the request again until the cause is
 * removed, mostly by an operator who changes a setting, the bucket or a policy. So a refusal opens no circuit breaker,
 * and its error does not tell a caller to retry.
 *
 * The message is one sentence for the operator: the operation, the status, S3's code, and what to do.
 */
export class RefusalError extends Error implements Refusal {
  override readonly name = 'RefusalError';
  readonly operation: string;
  readonly status: number;
  readonly code: string;
  readonly about: Refusal['about'];

  constructor(sentence: string, { operation, status, code, about }: Refusal, cause?: unknown) {
    super(sentence, { cause });
    this.operation = operation;
    this.status = status;
    this.code = code;
    this.about = about;
  }
}

/** Returns the RefusalError that the error is, or that a FileError has as its cause; else `undefined`. */
export function refusalIn(error: unknown): RefusalError | undefined {
  const cause = error instanceof FileError ? error.cause : error;
  return cause instanceof RefusalError ? cause : undefined;
}

/** Whether S3 cannot hold an object under the key, because the server does not accept the key. */
export function isUnacceptableKey({ about, status }: Refusal): boolean {
  return about === 'object' && (status === 400 || status === 414);
}
