import { sql } from 'kysely';
import {
  after,
  COLUMNS,
  FIRST_PAUSE_SECONDS,
  inParts,
  PAUSE_FACTOR,
  PAUSE_MAX_SECONDS,
  type RowKey,
  type Settling,
  seconds,
  settled,
} from './expressions.ts';
import type { FileRow, TombstoneRow } from './file-row.ts';
import { prepare } from './prepared.ts';

/** The sweeper's queue, which is the rows themselves. */

/**
 * More than a sweeper claims at once, and what a kept plan reckons with: `limit $1`
 * alone may be a tenth of all that is due to it, and then it reads the whole table
 * for each batch (half a million rows due after an outage: 0.5 s). So does, on
 * 120,000 rows, a plan for 1,000.
 */
const CLAIM_ROWS_MAX = 100;

/** The one statement across users. */
export const claimDue = prepare<Settling & { limit: number; leaseSeconds: number }>()<
  FileRow & TombstoneRow & { settled: boolean }
>('claim_due', (db, param) =>
  db
    .with('due', (qb) =>
      qb
        .selectFrom((due) =>
          due
            .selectFrom('files')
            .select(['user_id', 's3_key'])
            .where('due_at', '<=', sql<Date>`now()`)
            .orderBy('due_at')
            .limit(param('limit'))
            .forUpdate()
            .skipLocked()
            .as('batch'),
        )
        .select(['user_id as claimed_user', 's3_key as claimed_key'])
        .limit(sql.lit(CLAIM_ROWS_MAX)),
    )
    .updateTable('files')
    .from('due')
    .set({ due_at: after(param('leaseSeconds')) })
    .whereRef('files.user_id', '=', 'due.claimed_user')
    .whereRef('files.s3_key', '=', 'due.claimed_key')
    .returning([
      ...COLUMNS,
      sql<boolean | null>`false`.as('trusted'),
      inParts,
      sql<boolean>`${settled(param('longestUploadSeconds'))}`.as('settled'),
    ]),
);

export const postpone = prepare<RowKey & Settling>()('postpone', (db, param) =>
  db
    .updateTable('files')
    .set({
      looks: sql`least(looks + 1, 100)`,
      // least() passes over null: a row that is settled already has only the pause.
      due_at: sql`least(
        now() + least(${sql.lit(FIRST_PAUSE_SECONDS)} * power(${sql.lit(PAUSE_FACTOR)}, least(looks + 1, 20)), ${sql.lit(PAUSE_MAX_SECONDS)}) * interval '1 second',
        case when not ${settled(param('longestUploadSeconds'))} then url_expire_at + ${seconds(param('longestUploadSeconds'))} end)`,
    })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('due_at', 'is not', null),
);

export const forget = prepare<RowKey & Settling>()('forget', (db, param) =>
  db
    .deleteFrom('files')
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', 'in', ['pending', 'deleted'])
    .where(settled(param('longestUploadSeconds')))
    .returning('s3_key'),
);

export const oldestOverdue = prepare<Record<never, never>>()('oldest_overdue', (db) =>
  db
    .selectFrom('files')
    .select(sql<number>`greatest(extract(epoch from now() - min(due_at)), 0)::double precision`.as('seconds'))
    .where('due_at', 'is not', null),
);
