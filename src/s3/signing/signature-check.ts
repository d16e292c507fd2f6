import type { S3Client } from '@aws-sdk/client-s3';
import { parseS3Key } from '../../files/rules/s3-key.ts';
import { UnusableAnswerError } from '../answers/unusable-answer.ts';
import type { LocatedBucket } from '../bucket-location.ts';
import { requestAddress } from '../request-address.ts';
import { createSign } from './sign.ts';

/**
 * Whether S3 refuses a request whose signature is wrong. Some servers for tests (moto, S3Mock, gofakes3) check no
 * signature, so that every client can read, replace and remove every file.
 *
 * @throws the error of the network or of the signal, and UnusableAnswerError if the answer does not tell
 */
type SignatureCheck = (options: { abortSignal: AbortSignal }) => Promise<boolean>;

/** No file has this key, because the key of every file has a `_`. */
const KEY = parseS3Key('signature-check');

/** The lifetime of the URL. S3 refuses a wrong signature before the URL expires, so any short lifetime will do. */
const LIFE_SECONDS = 60;

/** Reading an answer stops after about this many bytes. S3's answers about a missing object have less than 1,000. */
const ANSWER_MAX_BYTES = 10_000;

/** Returns a check that requests a URL with a wrong signature, over the connections of the SDK's client. */
export function createSignatureCheck(client: S3Client, bucket: LocatedBucket): SignatureCheck {
  const { requestHandler } = client.config;
  const sign = createSign(client, bucket);
  const { host, origin } = bucket.url;
  const address = requestAddress(bucket.url);
  return async (options) => {
    const { url } = await sign('GET', KEY, LIFE_SECONDS);
    const path = withWrongSignature(url).slice(origin.length);
    const { response } = await requestHandler.handle(
      { ...address, method: 'GET', path, headers: { host } },
      options,
    );
    const status: number = response.statusCode;
    const body = await beginningOf(response.body);
    if ([400, 401, 403].includes(status)) return true;
    // A proxy may answer 404 while S3 is down. A code for the missing key or bucket comes only from S3.
    if (status < 300 || (status === 404 && /<Code>NoSuch(Key|Bucket)<\/Code>/.test(body))) return false;
    throw new UnusableAnswerError(
      `S3 answered ${status} to a wrong signature, which does not tell whether it checks signatures`,
    );
  };
}

function withWrongSignature(url: string): string {
  return url.replace(/(X-Amz-Signature=)[0-9a-f]+/, `$1${'0'.repeat(64)}`);
}

async function beginningOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > ANSWER_MAX_BYTES) break;
  }
  return Buffer.concat(chunks).toString();
}
