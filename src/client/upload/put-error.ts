/** A PUT that failed: S3 refused it, or the connection broke. */
export class PutError extends Error {
  override readonly name = 'PutError';
  /**
   * The HTTP status of S3's answer. Undefined if S3 did not answer; it is then unknown whether the bytes
   * arrived.
   */
  readonly status: number | undefined;
  /** S3's error code, such as `SlowDown`. Empty when the answer had no code. */
  readonly code: string;

  constructor(message: string, answer?: { status: number; code: string }, cause?: unknown) {
    super(message, { cause });
    this.status = answer?.status;
    this.code = answer?.code ?? '';
  }
}

/** @param body S3's error document, or its beginning */
export function refusedPut(status: number, body: string): PutError {
  const code = /<Code>([^<]*)<\/Code>/.exec(body)?.[1] ?? '';
  const message = /<Message>([^<]*)<\/Message>/.exec(body)?.[1] ?? '';
  return new PutError([`S3 answered ${status}`, code, message].filter(Boolean).join(': '), { status, code });
}
