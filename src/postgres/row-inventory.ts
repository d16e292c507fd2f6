import type pg from 'pg';
import type { ListedRow, RowInventory } from '../files/ports.ts';

const PAGE_ROWS = 1_000;

/**
 * The whole table through a cursor: one snapshot, one page in memory. Postgres
 * sorts it once, on disk where it is large; an index for it would cost every
 * create, for a command that runs after accidents.
 */
export function createRowInventory(pool: pg.Pool): RowInventory {
  return {
    async *scan() {
      const client = await pool.connect();
      try {
        await client.query('begin read only');
        await client.query(
          `declare rows no scroll cursor for
           select user_id, s3_key, state, coalesce(size, 0)::float8 as size, coalesce(etag, '') as etag
           from files order by s3_key`,
        );
        for (;;) {
          const { rows } = await client.query<ScannedRow>(`fetch ${PAGE_ROWS} from rows`);
          if (rows.length === 0) return;
          yield* rows.map(toListedRow);
        }
      } finally {
        // Whoever stops half-way leaves no transaction behind.
        await client.query('rollback').catch(() => undefined);
        client.release();
      }
    },

    async has({ userId, s3Key }) {
      const { rowCount } = await pool.query('select from files where user_id = $1 and s3_key = $2', [
        userId,
        s3Key,
      ]);
      return rowCount === 1;
    },

    async ownsUploads({ userId, s3Key }) {
      const { rowCount } = await pool.query(
        `select from files where user_id = $1 and s3_key = $2 and due_at is not null and octet_length(fingerprint) > 16`,
        [userId, s3Key],
      );
      return rowCount === 1;
    },
  };
}

interface ScannedRow {
  user_id: string;
  s3_key: string;
  state: ListedRow['state'];
  size: number;
  etag: string;
}

function toListedRow({ user_id, s3_key, ...row }: ScannedRow): ListedRow {
  return { userId: user_id, s3Key: s3_key, ...row };
}
