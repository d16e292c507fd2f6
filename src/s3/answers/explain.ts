import { GetObjectCommand, HeadBucketCommand, type S3Client } from '@aws-sdk/client-s3';
import type { RefusalError } from '../../files/refusal-error.ts';
import type { S3Key } from '../../files/rules/s3-key.ts';
import { codeIn, isRefusedStatus, statusIn, toRefusal } from './refusals.ts';

type Options = { abortSignal: AbortSignal };

/**
 * After an answer has shown that the bucket exists, a 404 to a HEAD counts as a missing object for 10 s, without a
 * further request. So a client that polls a missing object causes one additional request in 10 s, and not one per HEAD.
 */
const BUCKET_SEEN_MS = 10_000;

/**
 * After S3 has explained why it answered 403 to a HEAD, further HEADs with 403 fail for 1 s with this explanation. So
 * a list of 1,000 files whose reading a bucket policy denies causes one additional request, and not 1,000.
 */
const DENIED_MS = 1_000;

export type Explain = ReturnType<typeof createExplain>;

/**
 * Finds out what a refused HEAD means. The answer to a HEAD has no body, so it has no error code: 404 can mean a
 * missing object, a missing bucket, an unknown access key (versitygw 1.8.0) or a page of a web server. If all of them
 * counted as a missing object, a wrong setting would make the service report every READY file as lost.
 */
export function createExplain(client: S3Client, Bucket: string) {
  let bucketSeenUntilMs = 0;
  const asking = new Map<number, Promise<unknown>>();
  let denied: { refusal: RefusalError; untilMs: number } | undefined;

  const bucketSeen = (): void => {
    bucketSeenUntilMs = Date.now() + BUCKET_SEEN_MS;
  };

  /**
   * Decides whether an error of a request about one object is a refusal of this object or of the whole service. A 400
   * with any code can be about the key or about all requests, and each server has its own codes. So the bucket is
   * asked: it answers if only the key is wrong.
   *
   * @returns `undefined` if the error is no refusal, or if S3 does not answer the question about the bucket
   */
  async function classify(
    operation: string,
    error: unknown,
    options: Options,
  ): Promise<RefusalError | undefined> {
    const refusal = toRefusal(operation, error);
    if (refusal?.about !== 'object' || refusal.status === 403) return refusal;
    try {
      await client.send(new HeadBucketCommand({ Bucket }), options);
      return refusal;
    } catch (cause) {
      return isRefusedStatus(statusIn(cause) ?? 0) ? toRefusal(operation, error, 'service') : undefined;
    }
  }

  /** Sends a GET for the same object, because the answer to a GET has an error code in its body. */
  async function ask(s3Key: S3Key, options: Options): Promise<'missing' | 'found'> {
    try {
      const input = { Bucket, Key: s3Key, Range: 'bytes=0-0' };
      const { Body } = await client.send(new GetObjectCommand(input), options);
      bucketSeen();
      // A server that ignores Range would send the whole object.
      (Body as { destroy?: () => void } | undefined)?.destroy?.();
      return 'found';
    } catch (error) {
      // S3 answers 416 for an empty object, which has no first byte.
      if (statusIn(error) === 416) return 'found';
      if (statusIn(error) === 404 && codeIn(error) === 'NoSuchKey') {
        bucketSeen();
        return 'missing';
      }
      const refusal = await classify('HeadObject', error, options);
      if (refusal?.status === 403) denied = { refusal, untilMs: Date.now() + DENIED_MS };
      throw refusal ?? error;
    }
  }

  return {
    /** Remembers that an answer has shown that the bucket exists and that S3 accepts the credentials. */
    bucketSeen,
    classify,

    /**
     * Finds out whether S3 has an object to which it has answered a HEAD with `status`.
     *
     * @param options `confirmMissing` to send a GET even if the bucket was seen within BUCKET_SEEN_MS
     * @throws RefusalError if S3 refuses to tell; the error of the network
     */
    async refusedHead(
      s3Key: S3Key,
      status: number,
      { confirmMissing, ...options }: Options & { confirmMissing: boolean },
    ): Promise<'missing' | 'found'> {
      // Concurrent HEADs with the same status wait for the first answer.
      await asking.get(status)?.catch(() => undefined);
      if (status === 404 && !confirmMissing && Date.now() < bucketSeenUntilMs) return 'missing';
      if (status === 403 && denied !== undefined && Date.now() < denied.untilMs) throw denied.refusal;
      const answer = ask(s3Key, options);
      asking.set(status, answer);
      return answer;
    },
  };
}
