/**
 * `src/dev/object-store` is the part of S3 that the service and its clients use, on loopback, kept in a
 * directory of one process. It refuses what S3 refuses, so that a mistake in a signature, a header or a
 * digest shows here first; `test/contract/object-store.ts` runs against it and a real server.
 *
 * Production features do not belong here: every known key has the same rights, the index of keys is in
 * memory, and requests for versions, policies, ACLs or encryption get NotImplemented.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { privateDirectory } from '../data-directory/private-directory.ts';
import { type CorsRule, DEFAULT_CORS_RULE } from './cors.ts';
import { createHandler } from './handler.ts';
import type { Credentials } from './signatures/authenticate.ts';
import { openObjectStorage } from './storage/objects.ts';
import { openUploadStorage } from './storage/uploads.ts';

export interface ObjectStoreOptions {
  /** Holds the buckets between runs. Created when missing. */
  readonly directory: string;
  /** 0 means any free port. */
  readonly port: number;
  /** Missing buckets are created at the start. */
  readonly buckets: readonly string[];
  readonly credentials: readonly Credentials[];
  readonly region: string;
  /** Default 5 MiB, as in S3. Tests set less, so that several parts need few bytes. */
  readonly minPartBytes?: number;
  /** Default: the pages of this machine may upload and read. */
  readonly corsRules?: readonly CorsRule[];
  readonly now?: () => Date;
  /** Called with the HTTP server before it listens. Default: no limits. */
  readonly limitRequests?: ((server: Server) => void) | undefined;
}

/** Loopback, because the store is for the developer of this machine. Other machines must not reach the store. */
const HOST = '127.0.0.1';

const PART_MIN_BYTES = 5 * 1024 ** 2;

/**
 * How long running requests may still take when the store stops. After this time the store closes their
 * connections.
 */
const STOP_GRACE_MS = 500;

/**
 * How long the server keeps an idle connection. Most clients close an idle connection earlier, so a request of
 * theirs never meets a connection that the server is closing.
 */
const IDLE_TIMEOUT_MS = 120_000;

export async function startObjectStore(options: ObjectStoreOptions) {
  const { directory, port, now = () => new Date() } = options;
  privateDirectory(directory);
  const temporary = join(directory, 'tmp');
  rmSync(temporary, { recursive: true, force: true });
  privateDirectory(temporary);
  const objects = openObjectStorage(join(directory, 'buckets'), temporary, now);
  const uploads = openUploadStorage(join(directory, 'uploads'), temporary, now);
  for (const bucket of options.buckets) objects.createBucket(bucket);

  const handle = createHandler({
    authority: { credentials: options.credentials, region: options.region, now },
    objects,
    uploads,
    minPartBytes: options.minPartBytes ?? PART_MIN_BYTES,
    corsRules: options.corsRules ?? [DEFAULT_CORS_RULE],
  });
  const underWay = new Set<Promise<void>>();
  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    // `limitRequests` has closed the connection.
    if (message.socket.destroyed) return;
    const handled = handle(message, response).finally(() => underWay.delete(handled));
    underWay.add(handled);
  };
  // Node's default request timeout is five minutes, but an upload of 5 GiB can take hours, so there is no timeout.
  // Node's default keep-alive is 5 s. If a PUT arrives just when this time ends, the connection is closed, and Go's
  // client does not retry a PUT. So this server keeps idle connections for longer.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: IDLE_TIMEOUT_MS }, listener);
  // A client with `Expect: 100-continue` waits for a 100 before it sends the body. Without this listener, Node
  // would send the 100 at once. `bodyOf` (`body.ts`) sends the 100 after its checks.
  server.on('checkContinue', listener);
  options.limitRequests?.(server);
  server.listen({ port, host: HOST });
  await once(server, 'listening');

  const { port: actualPort } = server.address() as AddressInfo;
  return {
    /** The address of the store. A bucket can also be reached at `http://<bucket>.localhost:<port>`. */
    endpoint: `http://${HOST}:${actualPort}`,
    port: actualPort,
    /**
     * Resolves when all connections are closed and no request writes any more. All acknowledged bytes are on
     * the disk.
     */
    async stop(): Promise<void> {
      const closed = once(server.close(), 'close');
      const timer = setTimeout(() => server.closeAllConnections(), STOP_GRACE_MS);
      await closed;
      clearTimeout(timer);
      await Promise.all(underWay);
    },
  };
}
