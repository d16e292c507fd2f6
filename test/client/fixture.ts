import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from '@connectrpc/connect';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { openTestBucket } from '../harness/bucket.ts';
import { newUser } from '../harness/random.ts';
import { type Protocol, startTestService, type TestService } from '../harness/service.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { type S3Proxy, startS3Proxy } from './s3-proxy.ts';

/** The part size: 5 MiB is S3's minimum, so a file of several parts needs few bytes. */
export const PART_BYTES = 5 * 1024 ** 2;

/** A service, a proxy in front of its S3, and a directory for files. */
export interface Fixture extends AsyncDisposable {
  service: TestService;
  proxy: S3Proxy;
  directory: string;
  /** A client of a new user. */
  user(protocol?: Protocol): Client<typeof FileService>;
  /** A file with random bytes, so that no other test has uploaded the same content. */
  file(name: string, bytes: number): Promise<string>;
}

export async function openFixture(environment: Record<string, string> = {}): Promise<Fixture> {
  await using stack = new AsyncDisposableStack();
  const bucket = await openTestBucket();
  const proxy = stack.use(await startS3Proxy(bucket.endpoint));
  const service = stack.use(
    await startTestService(
      { MULTIPART_PART_BYTES: String(PART_BYTES), S3_PUBLIC_ENDPOINT: proxy.endpoint, ...environment },
      bucket,
    ),
  );
  const directory = stack.use(await temporaryDirectory()).path;
  const owned = stack.move();
  return {
    service,
    proxy,
    directory,
    user: (protocol) => service.as(newUser(), protocol),
    async file(name, bytes) {
      const path = join(directory, name);
      await writeFile(path, randomBytes(bytes));
      return path;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Downloads the bytes of a file. */
export async function downloaded(files: Client<typeof FileService>, s3Key: string): Promise<Buffer> {
  const { presignedUrl } = await files.createPresignedDownload({ s3Key });
  // Without keep-alive, because the tests count the connections that the client leaves open.
  const response = await fetch(presignedUrl, { headers: { connection: 'close' } });
  if (!response.ok) throw new Error(`the GET was answered with ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
