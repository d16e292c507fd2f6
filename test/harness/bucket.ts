import { randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketCorsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { CorsRule } from '../../src/dev/object-store/cors.ts';
import { startTestObjectStore } from './object-store.ts';

/** A bucket for one test, with access to its objects that bypasses the service. */
export interface TestBucket {
  endpoint: string;
  region: string;
  bucket: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  keys(): Promise<string[]>;
  /** Deletes an object without the knowledge of the service, as only the owner of the bucket can. */
  remove(key: string): Promise<void>;
  write(key: string, bytes: string): Promise<void>;
  /** The open multipart uploads. */
  uploads(): Promise<{ key: string; uploadId: string }[]>;
  abort(upload: { key: string; uploadId: string }): Promise<void>;
  stop(): Promise<void>;
}

export interface TestBucketOptions {
  /** The pages that may upload and read. Default: the default of the server. */
  corsRules?: readonly CorsRule[];
  /** The least size of every part but the last. Default: 5 MiB. A real server has its own minimum. */
  minPartBytes?: number;
}

/** The least size of a part on the server under test, in bytes, for tests with many parts and few bytes. */
export const LEAST_PART_BYTES = process.env.TEST_S3_ENDPOINT ? 5 * 1024 ** 2 : 4;

/**
 * Creates a bucket on the development object store, or on the real server that TEST_S3_ENDPOINT names. The
 * same tests must pass on both.
 */
export async function openTestBucket(options: TestBucketOptions = {}): Promise<TestBucket> {
  const { corsRules } = options;
  const real = realServer();
  const server = real ?? (await startTestObjectStore(options));
  const bucket = `test-${randomBytes(8).toString('hex')}`;
  const { endpoint, region, credentials } = server;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  if (real !== undefined && corsRules !== undefined) {
    const CORSConfiguration = { CORSRules: [...corsRules] };
    await client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration }));
  }
  return {
    endpoint,
    region,
    bucket,
    credentials,
    async keys() {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
      return Contents.map(({ Key = '' }) => Key);
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    },
    async write(key, bytes) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
    },
    async uploads() {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      return Uploads.map(({ Key = '', UploadId = '' }) => ({ key: Key, uploadId: UploadId }));
    },
    async abort({ key, uploadId }) {
      await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId }));
    },
    async stop() {
      client.destroy();
      await server.stop();
    },
  };
}

function realServer() {
  const { TEST_S3_ENDPOINT: endpoint, TEST_S3_REGION: region = 'us-east-1' } = process.env;
  if (!endpoint) return undefined;
  const credentials = {
    accessKeyId: process.env.TEST_S3_ACCESS_KEY_ID ?? '',
    secretAccessKey: process.env.TEST_S3_SECRET_ACCESS_KEY ?? '',
  };
  return { endpoint, region, credentials, stop: async () => undefined };
}
