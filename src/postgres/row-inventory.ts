import type pg from 'pg';
import type { ListedRow, RowInventory } from '../files/ports/inventories.ts';
import type { S3Key } from '../files/rules/s3-key.ts';
import type { Database } from './connection/database.ts';
import { fromFingerprint } from './file-row.ts';
import { formFor } from './statements/forms.ts';
import * as statements from './statements/inventory.ts';
import type { StoreLimits } from './store-limits.ts';

const PAGE_ROWS = 1_000;

/** What an inventory needs to know of the configuration. */
type InventoryLimits = Pick<StoreLimits, 'urlSeconds' | 'announcesChanges'>;

/**
 * The table for `npm run reconcile`, the command that compares the table with the bucket. `adopt` creates the row of an
 * object that has none. `scan` uses a cursor, so it reads one snapshot with one page in memory. Postgres sorts the rows
 * once, on disk if the table is large. An index on `s3_key` would avoid the sort, but would make every create slower
 * for a command that runs only after accidents.
 */
export function createRowInventory(pool: pg.Pool, database: Database, limits: InventoryLimits): RowInventory {
  return {
    async *scan() {
      const client = await pool.connect();
      try {
        await client.query('begin read only');
        await client.query(
          `declare rows no scroll cursor for
           select user_id, s3_key, state, coalesce(size, 0) as size, coalesce(etag, '') as etag,
             (extract(epoch from coalesce(last_modified, create_time)) * 1000) as time_ms
           from files order by s3_key`,
        );
        for (;;) {
          const { rows } = await client.query<ScannedRow>(`fetch ${PAGE_ROWS} from rows`);
          if (rows.length === 0) return;
          yield* rows.map(toListedRow);
        }
      } finally {
        // This also runs if the caller stops iterating before the last row, so the transaction always ends.
        await client.query('rollback').catch(() => undefined);
        client.release();
      }
    },

    async has(call, s3Key) {
      const rows = await database.run(call, statements.hasRow, { userId: call.userId, s3Key });
      return rows.length === 1;
    },

    async ownsUploads(call, s3Key) {
      const rows = await database.run(call, statements.ownsUploads, { userId: call.userId, s3Key });
      return rows.length === 1;
    },

    async keyOfContent(call, fingerprint) {
      const params = { userId: call.userId, fingerprint: fromFingerprint(fingerprint) };
      const [row] = await database.run(call, statements.keyOfContent, params);
      return row?.s3_key as S3Key | undefined;
    },

    async adopt(call, file) {
      const fingerprint = fromFingerprint(file.fingerprint);
      const params = { ...file, userId: call.userId, fingerprint, urlSeconds: limits.urlSeconds };
      const rows = await database.run(call, statements.adopt[formFor(limits)], params);
      return rows.length === 1;
    },
  };
}

interface ScannedRow {
  user_id: string;
  s3_key: S3Key;
  state: ListedRow['state'];
  /** `pg` returns an int8 as text. */
  size: string;
  etag: string;
  time_ms: string;
}

function toListedRow({ user_id, s3_key, size, time_ms, ...row }: ScannedRow): ListedRow {
  return { userId: user_id, s3Key: s3_key, size: Number(size), time: new Date(Number(time_ms)), ...row };
}
