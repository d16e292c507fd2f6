/**
 * `src/postgres` keeps file records in Postgres. It implements the ports `FileStore`, `EventQueue` and `RowInventory`,
 * and brings the schema up to date. `file-store/` implements the methods of the first two, with one file for each part
 * of these ports (`../files/ports/`). `connection/` runs statements, `statements/` holds the SQL, `migrations/` holds the
 * schema.
 *
 * Rules about files (names, keys, states, limits) do not belong here: see `../files/`. Neither does anything
 * that calls S3.
 */
import type { FileStore } from '../files/ports/file-store.ts';
import type { Database } from './connection/database.ts';
import { createBatchReservations } from './file-store/batch-reservations.ts';
import { createFileReads } from './file-store/file-reads.ts';
import { createPendingUploads } from './file-store/pending-uploads.ts';
import { createReservations } from './file-store/reservations.ts';
import { createSweepQueue } from './file-store/sweep-queue.ts';
import { createTransitions } from './file-store/transitions.ts';
import type { StoreLimits } from './store-limits.ts';

/**
 * Implements `FileStore` with one SQL statement for each change of a row. `src/files/ports/` says what each method must
 * do.
 */
export function createFileStore(database: Database, limits: StoreLimits): FileStore {
  return {
    ...createReservations(database, limits),
    ...createBatchReservations(database, limits),
    ...createFileReads(database, limits),
    ...createTransitions(database, limits),
    ...createPendingUploads(database, limits),
    ...createSweepQueue(database, limits),
  };
}
