import { randomUUID } from 'node:crypto';
import { CreateBucketCommand, PutBucketCorsCommand, S3ServiceException } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { type RealServer, realServer } from '../harness/real-server.ts';
import { serverName, WITHOUT_BUCKET_CORS } from '../servers/s3/known-limits.ts';
import { objectStoreContract } from './object-store.ts';
import { type ObjectStoreTarget, s3Client } from './object-store-client.ts';
import { contractCorsRules } from './object-store-cors.ts';

const real = realServer();
if (real === undefined) {
  describe('a real S3 server', () => {
    test.skip('not run: TEST_S3_ENDPOINT is not set (CI sets it to a Ceph RGW, a versitygw and a Swift)');
  });
} else {
  const { target, hasCors } = await newBucket(real);
  const server = serverName();
  test.skipIf(server === undefined)(`PutBucketCors is implemented as known of ${server}`, () => {
    expect(hasCors).toBe(!(WITHOUT_BUCKET_CORS as readonly unknown[]).includes(server));
  });
  objectStoreContract('a real S3 server', async () => target, { hasCors });
}

/** Creates a bucket with the CORS rules of the contract, or without CORS rules if the server does not support them. */
async function newBucket(server: RealServer): Promise<{ target: ObjectStoreTarget; hasCors: boolean }> {
  const target = { ...server, bucket: `contract-${randomUUID()}`, forcePathStyle: true };
  const client = s3Client(target);
  await client.send(new CreateBucketCommand({ Bucket: target.bucket }));
  const CORSConfiguration = { CORSRules: [...contractCorsRules] };
  const hasCors = await client
    .send(new PutBucketCorsCommand({ Bucket: target.bucket, CORSConfiguration }))
    .then(() => true)
    .catch((error: unknown) => {
      if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 501) return false;
      throw error;
    });
  client.destroy();
  return { target, hasCors };
}
