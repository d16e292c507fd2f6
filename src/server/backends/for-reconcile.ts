import type { Config } from '../../config/config.ts';
import type { ReconcilePorts } from '../../files/maintenance/reconcile-ports.ts';
import { createRowInventory } from '../../postgres/row-inventory.ts';
import { createBucketInventory } from '../../s3/bucket-inventory.ts';
import type { BackendOptions, Backends } from './backends.ts';

/** The one statement that sorts the whole table may take long. */
const STATEMENT_TIMEOUT_MS = 3_600_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** What `reconcile` needs of Postgres and S3: few connections and long time-outs. */
export function backendsForReconcile({ lifetimes, limits, multipart }: Config): BackendOptions {
  return {
    pool: {
      maxConnections: 2,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    },
    limits: {
      ...lifetimes,
      ...limits,
      multipartSeconds: multipart.lifeSeconds,
      // Every verification asks S3 again: earlier verifications do not count here.
      verificationTtlSeconds: 0,
    },
  };
}

export function reconcilePorts(backends: Backends, { lifetimes }: Config): ReconcilePorts {
  const { store, objects, multipart } = backends;
  return {
    store,
    objects,
    multipart,
    rows: createRowInventory(backends.pool, backends.database, lifetimes.urlSeconds),
    bucket: createBucketInventory(backends.client, backends.bucket),
    observer: { contentMismatch: () => undefined, fileLost: () => undefined, stepFailed: () => undefined },
  };
}
