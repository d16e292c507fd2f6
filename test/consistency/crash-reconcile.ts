import type { S3Client } from '@aws-sdk/client-s3';
import type pg from 'pg';
import { reconcile } from '../../src/files/maintenance/reconcile.ts';
import type { ReconcileOptions } from '../../src/files/maintenance/reconcile-ports.ts';
import type { ListedRow } from '../../src/files/ports/inventories.ts';
import type { MultipartStore } from '../../src/files/ports/multipart-store.ts';
import type { ObjectStore } from '../../src/files/ports/object-store.ts';
import type { Database } from '../../src/postgres/connection/database.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import { createRowInventory } from '../../src/postgres/row-inventory.ts';
import type { StoreLimits } from '../../src/postgres/store-limits.ts';
import { createBucketInventory } from '../../src/s3/bucket-inventory.ts';

interface Opened {
  pool: pg.Pool;
  database: Database;
  limits: StoreLimits;
  client: S3Client;
  bucket: string;
  objects: ObjectStore;
  multipart: MultipartStore;
}

/** Every object is old enough to be removed, also if the clock of S3 is ahead. */
const MIN_AGE_SECONDS = -3_600;
const MAX_REPAIRS = 10;

/**
 * `npm run reconcile` for the files of one user, connected as in src/server/backends/for-reconcile.ts. So each of several
 * users can wait in a gap, and none of them sees the differences of the others.
 */
export function openReconcile({ pool, database, limits, client, bucket, objects, multipart }: Opened) {
  const rows = createRowInventory(pool, database, limits);
  const inventory = createBucketInventory(client, bucket);
  const store = createFileStore(database, { ...limits, verificationTtlSeconds: 0 });
  const ignore = () => undefined;
  const observer = { contentMismatch: ignore, partsMismatch: ignore, fileLost: ignore, stepFailed: ignore };

  return async (userId: string, action: ReconcileOptions['action']): Promise<void> => {
    // The scan is read to its end, because it holds a connection, which the other users need while this one waits.
    const listed: ListedRow[] = [];
    for await (const row of only(userId, rows.scan())) listed.push(row);
    await reconcile(
      {
        rows: { ...rows, scan: () => only(userId, listed) },
        bucket: {
          list: () => only(userId, inventory.list()),
          uploads: () => only(userId, inventory.uploads()),
        },
        ...{ store, objects, multipart, observer },
      },
      { action, minAgeSeconds: MIN_AGE_SECONDS, maxRepairs: MAX_REPAIRS, onProgress: ignore },
    );
  };
}

/** The items of one user. */
async function* only<Item extends { s3Key: string }>(
  userId: string,
  items: AsyncIterable<Item> | Iterable<Item>,
): AsyncGenerator<Item> {
  for await (const item of items) if (item.s3Key.startsWith(`${userId}_`)) yield item;
}
