/**
 * The development object store: the part of S3 that this service and its clients use, on loopback, kept in a directory.
 *
 * It is for development and for tests: it makes `npm start` and `npm test` work on a bare machine, and it refuses what
 * S3 refuses, so that a mistake in a signature, a header or a digest shows here first. The contract suite in
 * `test/contract/object-store.ts` holds it against a real server.
 *
 * It is not for anything else. It listens on loopback only; it has one set of rights for every known key; it keeps no
 * versions, policies, ACLs or encryption (asked for these it answers NotImplemented, never a silent yes); and its index of
 * keys is in memory. One process at a time per directory.
 */
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, BlockList, isIP } from 'node:net';
import { join } from 'node:path';
import { privateDirectory } from '../data-directory/private-directory.ts';
import { type CorsRule, defaultCorsRule } from './cors.ts';
import { createHandler } from './handler.ts';
import type { Credentials } from './signatures/authenticate.ts';
import { openObjects } from './storage/objects.ts';
import { openUploads } from './storage/uploads.ts';

export interface ObjectStoreOptions {
  /** Where buckets are kept between runs; created when absent. */
  readonly directory: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Default `127.0.0.1`. Anything that is not loopback is refused. */
  readonly host?: string;
  /** Created at start where they are absent. */
  readonly buckets: readonly string[];
  readonly credentials: readonly Credentials[];
  readonly region: string;
  /** Default 5 MiB, as S3. Tests set less, to have several parts without many bytes. */
  readonly minPartBytes?: number;
  /** Default: pages of this machine may upload and read. */
  readonly corsRules?: readonly CorsRule[];
  readonly now?: () => Date;
}

export interface ObjectStore {
  /** `http://127.0.0.1:<port>`; buckets are also at `http://<bucket>.localhost:<port>`. */
  readonly endpoint: string;
  readonly port: number;
  /** Resolves when no connection is open and nothing is being written any more. What was acknowledged is on the disk. */
  stop(): Promise<void>;
}

const s3MinPartBytes = 5 * 1024 ** 2;

/** How long requests under way may take to end on their own when the store stops. */
const stopGraceMs = 500;

/** Longer than most clients keep a connection for another request. */
const idleTimeoutMs = 120_000;

export async function startObjectStore(options: ObjectStoreOptions): Promise<ObjectStore> {
  const { directory, port, host = '127.0.0.1', now = () => new Date() } = options;
  assertLoopback(host);

  privateDirectory(directory);
  const temporary = join(directory, 'tmp');
  rmSync(temporary, { recursive: true, force: true });
  privateDirectory(temporary);
  const objects = openObjects(join(directory, 'buckets'), temporary, now);
  const uploads = openUploads(join(directory, 'uploads'), temporary, now);
  for (const bucket of options.buckets) objects.createBucket(bucket);

  const handle = createHandler({
    authority: { credentials: options.credentials, region: options.region, now },
    objects,
    uploads,
    minPartBytes: options.minPartBytes ?? s3MinPartBytes,
    corsRules: options.corsRules ?? [defaultCorsRule],
  });
  const underWay = new Set<Promise<void>>();
  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    const handled = handle(message, response).finally(() => underWay.delete(handled));
    underWay.add(handled);
  };
  // Node's default ends every request after five minutes; an upload of 5 GiB may take hours.
  // And it closes what was idle for 5 s, under the feet of a PUT that comes just then: Go's client does not send that again.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: idleTimeoutMs }, listener);
  // With `Expect: 100-continue` the client waits to be told, so that a refusal costs it no bytes (see `bodyOf`).
  server.on('checkContinue', listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, resolve);
  });

  const { port: actualPort } = server.address() as AddressInfo;
  return {
    endpoint: `http://${isIP(host) === 6 ? `[${host}]` : host}:${actualPort}`,
    port: actualPort,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const impatience = setTimeout(() => server.closeAllConnections(), stopGraceMs);
      await closed;
      clearTimeout(impatience);
      await Promise.all(underWay);
    },
  };
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function assertLoopback(host: string): void {
  const family = isIP(host);
  const isLoopback =
    family === 0 ? host === 'localhost' : loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
  if (isLoopback) return;
  throw new Error(
    `object store: refusing to listen on ${host}. It is for development and listens on loopback only ` +
      '(127.0.0.1, ::1, localhost); use a real S3 for anything that others can reach.',
  );
}
