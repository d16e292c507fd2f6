import type { Load } from '../harness/load.ts';
import { md5 } from '../harness/random.ts';
import type { Stack } from './stack.ts';

/** A user with a full page of files, all READY and verified just now. */
export const READY_USER = 'ready-0';
export const READY_FILE = { s3Key: `${READY_USER}_1.txt`, filename: '1.txt', md5: md5('1', 'hex') };
const PAGE_FILES = 100;

/** Enough users that no user reaches a limit. */
const USERS = 5_000;

export interface MeasuredCall {
  name: string;
  /** @param run a name that differs for each run, so that a run creates new files */
  load(run: string): Pick<Load, 'call' | 'users' | 'file'>;
  /** Set if the call needs more warm-up calls than the others. */
  warmUpCalls?: number;
  /** Creates the rows that this run needs. */
  prepare?(stack: Stack, run: string, calls: number): Promise<void>;
}

const onReadyFile = (call: Load['call']): MeasuredCall['load'] => {
  return () => ({ call, users: { name: 'ready', count: 1 }, file: READY_FILE });
};

export const CALLS: readonly MeasuredCall[] = [
  {
    name: 'create, new',
    load: (run) => ({ call: 'CreatePresignedUpload', users: { name: run, count: USERS } }),
    // After about 30,000 calls, the signatures of the `minimal` stack take half as long.
    warmUpCalls: 50_000,
  },
  { name: 'create, existing', load: onReadyFile('CreatePresignedUpload') },
  { name: `list of ${PAGE_FILES}`, load: onReadyFile('ListFiles') },
  { name: 'get', load: onReadyFile('GetFile') },
  {
    name: 'delete',
    load: (run) => ({ call: 'DeleteFile', users: { name: run, count: USERS } }),
    // The same rows as creates of this run would make.
    prepare: async ({ database }, run, calls) => {
      await database.query(
        `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
         select $1 || '-' || n % $2::int, $1 || '-' || n % $2::int || '_' || $1 || '-' || n || '.txt', 'pending',
           $1 || '-' || n || '.txt', 'text/plain', decode(md5($1 || '-' || n || '.txt'), 'hex'),
           now() + interval '1 hour', now() + interval '1 hour'
         from generate_series(0, $3::int - 1) as n`,
        [run, USERS, calls],
      );
    },
  },
  { name: 'download', load: onReadyFile('CreatePresignedDownload') },
];

/** Inserts the same rows for every stack. They are verified just now, so no stack verifies them in S3. */
export async function fill({ database }: Stack): Promise<void> {
  await database.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, verified_at, create_time, url_expire_at)
     select $1, $1 || '_' || n || '.txt', 'ready', n || '.txt', 'text/plain', decode(md5(n::text), 'hex'), n, md5(n::text),
       timestamptz '2026-01-01' + n * interval '1 s', now(), timestamptz '2026-01-01', now()
     from generate_series(1, $2::int) as n`,
    [READY_USER, PAGE_FILES],
  );
  await database.query('analyze files');
}

/**
 * Marks the rows as verified now: a verification is valid for a quarter of an hour, and a bench may take
 * longer.
 */
export async function renewVerification({ database }: Stack): Promise<void> {
  await database.query('update files set verified_at = now() where user_id = $1', [READY_USER]);
}
