import type { S3Client } from '@aws-sdk/client-s3';
import { type BucketLocation, bucketUrl } from './bucket-location.ts';
import { createSign } from './signing/sign.ts';

/** An answer without a body that anybody reads. */
export interface SignedResponse {
  status: number;
  /** By their names in lower case. */
  headers: Record<string, string | undefined>;
}

/** Asks S3 one thing about one object, once. @throws the network's error, or the signal's */
export type SignedRequest = (
  method: 'HEAD' | 'DELETE',
  s3Key: string,
  options: { abortSignal: AbortSignal },
) => Promise<SignedResponse>;

/** By a clock that differs from S3's by this much, the SDK has to ask: it learns the difference. */
const LIFE_SECONDS = 300;

/**
 * Asks by a signed URL, over the connections of the SDK's client. Its command
 * stack has retries, redirects, checksums and errors in XML, and takes three
 * times the CPU; it is asked where S3 says anything else than it nearly always does.
 */
export function createSignedRequest(client: S3Client, location: BucketLocation): SignedRequest {
  const { requestHandler } = client.config;
  const sign = createSign(client, location);
  const { protocol, hostname, port, host, origin } = bucketUrl(client, location);
  return async (method, s3Key, options) => {
    const { url } = await sign(method, s3Key, LIFE_SECONDS);
    const { response } = await requestHandler.handle(
      {
        method,
        protocol,
        hostname,
        ...(port && { port: Number(port) }),
        path: url.slice(origin.length),
        query: {},
        headers: { host },
      },
      options,
    );
    // Unread, it would keep its connection.
    response.body.resume();
    return { status: response.statusCode, headers: response.headers };
  };
}
