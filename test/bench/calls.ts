import type { Load } from '../harness/load.ts';
import { md5 } from '../harness/random.ts';
import type { Stack } from './stack.ts';

/** Of whom there is a file and a full page, all READY and seen just now. */
export const READY_USER = 'ready-0';
export const READY_FILE = { s3Key: `${READY_USER}_1.txt`, filename: '1.txt', md5: md5('1', 'hex') };
const PAGE_FILES = 100;

/** So many users that none comes to a limit of its own. */
const USERS = 5_000;

export interface MeasuredCall {
  name: string;
  /** @param run is different for each, so that what it creates is new */
  load(run: string): Pick<Load, 'call' | 'users' | 'file'>;
  /** Where it takes more than the others. */
  warmUpCalls?: number;
  /** What must be there before this run. */
  prepare?(stack: Stack, run: string, calls: number): Promise<void>;
}

const about = (call: Load['call']): MeasuredCall['load'] => {
  return () => ({ call, users: { name: 'ready', count: 1 }, file: READY_FILE });
};

export const CALLS: readonly MeasuredCall[] = [
  {
    name: 'create, new',
    load: (run) => ({ call: 'CreatePresignedUpload', users: { name: run, count: USERS } }),
    // The minimal's signatures take half as long from some 30,000 calls on.
    warmUpCalls: 50_000,
  },
  { name: 'create, existing', load: about('CreatePresignedUpload') },
  { name: `list of ${PAGE_FILES}`, load: about('ListFiles') },
  { name: 'get', load: about('GetFile') },
  {
    name: 'delete',
    load: (run) => ({ call: 'DeleteFile', users: { name: run, count: USERS } }),
    // As this run's creates would have made them.
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
  { name: 'download', load: about('CreatePresignedDownload') },
];

/** The same rows for every stack. Nobody looks at S3 for them: they were seen just now. */
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

/** Trusted for a quarter of an hour, and a bench may take longer. */
export async function seeAgain({ database }: Stack): Promise<void> {
  await database.query('update files set verified_at = now() where user_id = $1', [READY_USER]);
}
