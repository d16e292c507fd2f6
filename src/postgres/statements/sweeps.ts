/**
 * Statements of the sweeper (`src/files/maintenance/sweeper.ts`), the background task that verifies uploads and removes
 * deleted files. Its queue is the column `due_at` of the rows themselves. A sweeper leases a row by moving its `due_at`
 * ahead, so that no other sweeper takes the row until then. A row is *purgeable* when no URL can write to its key any
 * more (`src/files/ports/file-store.ts`).
 */
import { sql } from 'kysely';
import type { FileRow, TombstoneRow } from '../file-row.ts';
import {
  after,
  dueNow,
  earlyAttempts,
  earlyOrUsualPauseSeconds,
  isMultipart,
  isPending,
  isUnfinished,
  purgeable,
  type RowKey,
  seconds,
  usualPauseSeconds,
  type WriteWindow,
} from './expressions.ts';
import { prepareForms } from './forms.ts';
import { prepare, type Sql } from './prepared.ts';
import { type LeasedRow, type LeaseParams, prepareLease, prepareOldest } from './queue.ts';

type LeasedDueRow = LeasedRow & TombstoneRow & { purgeable: boolean };

export const leaseDue = prepareLease<LeaseParams & WriteWindow, LeasedDueRow>(
  'lease_due',
  'due_at',
  ({ longestUploadSeconds }) => sql`
      ${isMultipart} as is_multipart,
      ${purgeable(longestUploadSeconds)} as purgeable`,
);

/**
 * Makes a row come due again after a pause, which grows with each attempt. If the row becomes purgeable before the
 * pause has ended, it comes due at that moment. If the row is already purgeable, the `case` is null, `least`
 * ignores the null, and the row comes due after the pause.
 */
export const reschedule = prepareForms<RowKey & WriteWindow>('reschedule', (params, ifAnnounced) => {
  const { userId, s3Key, longestUploadSeconds } = params;
  const attempts = sql`sweep_attempts + 1`;
  const pauseSeconds = ifAnnounced(earlyOrUsualPauseSeconds(attempts), usualPauseSeconds(attempts));
  return sql`
    update files set
      sweep_attempts = least(sweep_attempts + 1, 100),
      due_at = least(
        ${after(pauseSeconds)},
        case when not ${purgeable(longestUploadSeconds)} then url_expire_at + ${seconds(longestUploadSeconds)} end)
    where user_id = ${userId} and s3_key = ${s3Key} and ${isUnfinished}`;
});

/**
 * With events, a row stays until the event of its newest change was delivered. A lost file becomes a tombstone first
 * (`expireUpload` in transitions.ts), because its end is a change, too.
 */
export const purge = prepareForms<RowKey & WriteWindow, Pick<FileRow, 's3_key'>>(
  'purge',
  ({ userId, s3Key, longestUploadSeconds }, ifAnnounced) => sql`
    delete from files
    where user_id = ${userId} and s3_key = ${s3Key} and state in ('pending', 'deleted')
      and ${purgeable(longestUploadSeconds)}
      ${ifAnnounced(sql`and event_due_at is null and (state = 'deleted' or not lost)`)}
    returning s3_key`,
);

export const oldestDue = prepareOldest<{ overdue_seconds: number }>(
  'oldest_due',
  'due_at',
  () => sql`
      coalesce(greatest(extract(epoch from now() - min(due_at)), 0), 0)::double precision as overdue_seconds`,
);

/** Means `due_at > now()`, written so that it matches no index, for the same reason as `isPending`. */
const comesDueLater: Sql = sql`coalesce(due_at, now()) > now()`;

/**
 * Makes pending uploads due now. A row that is due already is not changed, so that repeated hints cause no writes.
 * `sweep_attempts` does not count the sweep that follows. Otherwise hints that come too early, or are forged, would make
 * the pauses of the row as long as those of an upload that never arrives.
 *
 * @param locked finds the rows (hinted_user, hinted_key) and locks them. It leaves out rows that another session has
 *   locked, so the statement never waits
 */
const makeRowsDue = (locked: Sql): Sql => sql`
    with ${locked}
    update files set due_at = ${dueNow}, sweep_attempts = greatest(sweep_attempts - 1, ${earlyAttempts})
    from locked
    where user_id = hinted_user and s3_key = hinted_key and ${isPending} and ${comesDueLater}
    returning s3_key`;

/** The table is joined as in `renewMany` (batch-reservations.ts), but for rows of many users. */
export const makeDue = prepare<{ userIds: readonly string[]; s3Keys: readonly string[] }, { s3_key: string }>(
  'make_due',
  ({ userIds, s3Keys }) =>
    makeRowsDue(sql`hinted as (
      select * from unnest(${userIds}::text[], ${s3Keys}::text[]) as hint (hinted_user, hinted_key) offset 0
    ),
    locked as (
      select hinted.*
      from hinted join files on user_id = hinted_user and s3_key = hinted_key
      where ${isPending} and ${comesDueLater}
      for update of files skip locked
    )`),
);

/**
 * Does what `makeDue` does, for keys that have only the hash of a user id. Two users never have the same key
 * (`src/files/rules/s3-key.ts`). `lateral` and `limit` make Postgres search the index `files_pending_hashed` for each key.
 * Without an index of this name (before migration 0004, for example), the statement finds nothing, because each search
 * would read the whole table. The sweeper then finds these uploads by itself.
 */
export const makeHashedDue = prepare<{ s3Keys: readonly string[] }, { s3_key: string }>(
  'make_hashed_due',
  ({ s3Keys }) =>
    makeRowsDue(sql`locked as (
      select hinted_user, hinted_key
      from unnest(${s3Keys}::text[]) as hint (hinted_key), lateral (
        select user_id as hinted_user
        from files
        where s3_key = hinted_key and state = 'pending' and s3_key like '.sha256-%' and ${comesDueLater}
        limit 1
        for update skip locked) as found
      where to_regclass('files_pending_hashed') is not null
    )`),
);
