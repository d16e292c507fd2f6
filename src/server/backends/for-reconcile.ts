import type { Config } from '../../config/config.ts';
import type { ReconcilePorts } from '../../files/maintenance/reconcile-ports.ts';
import { createRowInventory } from '../../postgres/row-inventory.ts';
import { createBucketInventory } from '../../s3/bucket-inventory.ts';
import type { BackendOptions, Backends } from './backends.ts';

/** One hour, because one statement of `src/postgres/row-inventory.ts` sorts the whole table. */
const STATEMENT_TIMEOUT_MS = 3_600_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * The options of Postgres and S3 for `npm run reconcile`, which compares the rows of the database with the objects in
 * the bucket. It needs few connections and long time-outs.
 */
export function backendsForReconcile({ lifetimes, limits, multipart, events }: Config): BackendOptions {
  return {
    sharesServers: true,
    pool: {
      maxConnections: 2,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    },
    limits: {
      ...lifetimes,
      ...limits,
      multipartSeconds: multipart.lifeSeconds,
      // With 0, no earlier verification of a file counts, so every verification asks S3 again.
      verificationTtlSeconds: 0,
      announcesChanges: events !== undefined,
    },
  };
}

export function reconcilePorts(backends: Backends, { lifetimes, events }: Config): ReconcilePorts {
  const { store, objects, multipart } = backends;
  return {
    store,
    objects,
    multipart,
    rows: createRowInventory(backends.pool, backends.database, {
      urlSeconds: lifetimes.urlSeconds,
      announcesChanges: events !== undefined,
    }),
    bucket: createBucketInventory(backends.client, backends.bucket),
    observer: {
      contentMismatch: () => undefined,
      partsMismatch: () => undefined,
      fileLost: () => undefined,
      stepFailed: () => undefined,
    },
  };
}
