import type pg from 'pg';
import type { ListedRow, RowInventory } from '../files/ports/inventories.ts';
import type { S3Key } from '../files/rules/s3-key.ts';
import type { Database } from './connection/database.ts';
import { hasRow, ownsUploads } from './statements/inventory.ts';

const PAGE_ROWS = 1_000;

/**
 * Reads the whole table for `reconcile`, through a cursor: in one snapshot, with one page in memory. Postgres
 * sorts the rows once, on disk if the table is large. An index on `s3_key` would avoid the sort, but would
 * make every create slower for a command that runs only after accidents.
 */
export function createRowInventory(pool: pg.Pool, database: Database): RowInventory {
  return {
    async *scan() {
      const client = await pool.connect();
      try {
        await client.query('begin read only');
        await client.query(
          `declare rows no scroll cursor for
           select user_id, s3_key, state, coalesce(size, 0) as size, coalesce(etag, '') as etag
           from files order by s3_key`,
        );
        for (;;) {
          const { rows } = await client.query<ScannedRow>(`fetch ${PAGE_ROWS} from rows`);
          if (rows.length === 0) return;
          yield* rows.map(toListedRow);
        }
      } finally {
        // Also ends the transaction when the caller stops iterating before the last row.
        await client.query('rollback').catch(() => undefined);
        client.release();
      }
    },

    async has(call, s3Key) {
      const rows = await database.run(call, hasRow, { userId: call.userId, s3Key });
      return rows.length === 1;
    },

    async ownsUploads(call, s3Key) {
      const rows = await database.run(call, ownsUploads, { userId: call.userId, s3Key });
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
}

function toListedRow({ user_id, s3_key, size, ...row }: ScannedRow): ListedRow {
  return { userId: user_id, s3Key: s3_key, size: Number(size), ...row };
}
