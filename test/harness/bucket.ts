import { randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  NoSuchKey,
  PutBucketCorsCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { CorsRule } from '../../src/dev/object-store/cors.ts';
import { startTestObjectStore } from './object-store.ts';
import { realServer } from './real-server.ts';

/** A multipart upload as S3 knows it. */
export interface OpenUpload {
  key: string;
  uploadId: string;
}

/** A bucket for one test, with access to its objects that bypasses the service. */
export interface TestBucket {
  endpoint: string;
  region: string;
  bucket: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  keys(prefix?: string): Promise<string[]>;
  read(key: string): Promise<string | undefined>;
  /** Deletes an object without the knowledge of the service, as only the owner of the bucket can. */
  remove(key: string): Promise<void>;
  write(key: string, bytes: string): Promise<void>;
  /** The open multipart uploads. */
  uploads(prefix?: string): Promise<OpenUpload[]>;
  beginUpload(key: string): Promise<void>;
  writePart(upload: OpenUpload, number: number, bytes: Uint8Array): Promise<void>;
  /** Completes an upload with the parts that S3 has. */
  complete(upload: OpenUpload): Promise<void>;
  abort(upload: OpenUpload): Promise<void>;
  stop(): Promise<void>;
}

interface TestBucketOptions {
  /** The pages that may upload and read. Default: the default of the server. */
  corsRules?: readonly CorsRule[];
  /** The least size of every part but the last. Default: 5 MiB. A real server has its own minimum. */
  minPartBytes?: number;
}

/** The least size of a part on the server under test, in bytes, for tests with many parts and few bytes. */
export const LEAST_PART_BYTES = realServer() === undefined ? 4 : 5 * 1024 ** 2;

/**
 * Creates a bucket on the development object store, or on the real server that TEST_S3_ENDPOINT names. The
 * same tests must pass on both.
 */
export async function openTestBucket(options: TestBucketOptions = {}): Promise<TestBucket> {
  const { corsRules } = options;
  const real = realServer();
  const server = real ? { ...real, stop: async () => undefined } : await startTestObjectStore(options);
  const bucket = `test-${randomBytes(8).toString('hex')}`;
  const { endpoint, region, credentials } = server;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  const named = ({ key, uploadId }: OpenUpload) => ({ Bucket: bucket, Key: key, UploadId: uploadId });
  if (real !== undefined && corsRules !== undefined) {
    const CORSConfiguration = { CORSRules: [...corsRules] };
    await client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration }));
  }
  return {
    endpoint,
    region,
    bucket,
    credentials,
    async keys(prefix) {
      const keys: string[] = [];
      for await (const { Contents = [] } of paginateListObjectsV2(
        { client },
        { Bucket: bucket, Prefix: prefix },
      ))
        keys.push(...Contents.map(({ Key = '' }) => Key));
      return keys;
    },
    async read(key) {
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        return await Body?.transformToString();
      } catch (error) {
        if (error instanceof NoSuchKey) return undefined;
        throw error;
      }
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    },
    async write(key, bytes) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
    },
    async uploads(prefix) {
      const input = { Bucket: bucket, Prefix: prefix };
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(input));
      return Uploads.map(({ Key = '', UploadId = '' }) => ({ key: Key, uploadId: UploadId }));
    },
    async beginUpload(key) {
      await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }));
    },
    async writePart(upload, PartNumber, Body) {
      await client.send(new UploadPartCommand({ ...named(upload), PartNumber, Body }));
    },
    async complete(upload) {
      const { Parts = [] } = await client.send(new ListPartsCommand(named(upload)));
      const MultipartUpload = { Parts: Parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag })) };
      await client.send(new CompleteMultipartUploadCommand({ ...named(upload), MultipartUpload }));
    },
    async abort(upload) {
      await client.send(new AbortMultipartUploadCommand(named(upload)));
    },
    async stop() {
      client.destroy();
      await server.stop();
    },
  };
}
