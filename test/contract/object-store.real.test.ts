import { randomUUID } from 'node:crypto';
import { CreateBucketCommand, PutBucketCorsCommand } from '@aws-sdk/client-s3';
import { describe, test } from 'vitest';
import { objectStoreContract } from './object-store.ts';
import { s3Client } from './object-store-client.ts';
import { contractCorsRules } from './object-store-cors.ts';

const {
  TEST_S3_ENDPOINT: endpoint,
  TEST_S3_ACCESS_KEY_ID: accessKeyId = '',
  TEST_S3_SECRET_ACCESS_KEY: secretAccessKey = '',
  TEST_S3_REGION: region = 'us-east-1',
} = process.env;

if (endpoint === undefined) {
  describe('a real S3 server', () => {
    test.skip('not run: TEST_S3_ENDPOINT is not set (CI sets it to a Ceph RGW)');
  });
} else {
  objectStoreContract('a real S3 server', async () => {
    const target = {
      endpoint,
      region,
      bucket: `contract-${randomUUID()}`,
      credentials: { accessKeyId, secretAccessKey },
      forcePathStyle: true,
    };
    const client = s3Client(target);
    await client.send(new CreateBucketCommand({ Bucket: target.bucket }));
    const CORSConfiguration = { CORSRules: [...contractCorsRules] };
    await client.send(new PutBucketCorsCommand({ Bucket: target.bucket, CORSConfiguration }));
    client.destroy();
    return target;
  });
}
