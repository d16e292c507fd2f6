import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { runEvents } from '../../src/cli/events.ts';
import { readConfig } from '../../src/config/config.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import * as files from '../../src/postgres/migrations/0001-files.ts';
import * as typeChanged from '../../src/postgres/migrations/0002-type-changed.ts';
import { bashScript } from '../harness/bash-script.ts';
import { captureTerminal, hostileText, UNPRINTABLE } from '../harness/captured-terminal.ts';
import { createDatabase, openPool } from '../harness/database.ts';
import { launchService, PROJECT } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

await using stack = new AsyncDisposableStack();
const database = stack.use(await createDatabase());
const pool = openPool(database.url);
stack.defer(() => pool.end());
await migrate(pool);
const owned = stack.move();
afterAll(() => owned.disposeAsync());

/** Nothing listens there: the command does not use S3, and delivers no event itself. */
const NOWHERE = 'http://127.0.0.1:1';

const environmentOf = (url: string) => ({
  DATABASE_URL: url,
  S3_BUCKET: 'files',
  S3_ENDPOINT: NOWHERE,
  S3_FORCE_PATH_STYLE: 'true',
  AWS_ACCESS_KEY_ID: 'key',
  AWS_SECRET_ACCESS_KEY: 'secret',
  EVENTS_URL: NOWHERE,
});
const environment = environmentOf(database.url);

/** Every visible character that a user id may contain, so that a shell would change an id that is not quoted. */
const AWKWARD = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i))
  .filter((character) => character !== ',')
  .join('');

beforeEach(async () => {
  await pool.query('truncate files');
});

/** Adds files of the user in the state. The keys have numbers of the same length, so their order is known. */
async function addFiles(user: string, count: number, state = 'ready', verifiedAt = '2026-11-01T00:00:00Z') {
  const key = `${state}-${verifiedAt.slice(0, 10)}`;
  await pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified,
                        verified_at, url_expire_at, due_at)
     select $1, $2 || '_' || lpad(n::text, 6, '0'), $3, n::text, 'text/plain', sha256((n || $2)::bytea), 1, 'etag', now(),
            $4, now(), case when $3 = 'ready' then null else now() + interval '1 hour' end
     from generate_series(1, $5::int) n`,
    [user, key, state, verifiedAt, count],
  );
}

interface Options {
  isWatched?: boolean;
  signal?: AbortSignal;
  variables?: Record<string, string>;
}

/** Runs the command as src/process does, with its output captured. */
async function run(args: string[], { isWatched = false, signal, variables = {} }: Options = {}) {
  const terminal = captureTerminal(isWatched);
  const config = () => readConfig({ ...environment, ...variables });
  const log = pino({ level: 'silent' });
  const code = await runEvents(args, config, log, terminal, signal ?? new AbortController().signal);
  return { code, stdout: terminal.stdout, stderr: terminal.stderr };
}

/** The files whose events are due, as `user/filename`. */
async function due(): Promise<string[]> {
  const { rows } = await pool.query(
    `select user_id || '/' || filename as name from files
     where event_due_at <= now() and revision > 0 order by user_id, s3_key`,
  );
  return rows.map(({ name }) => name);
}

const REPLAYED = (count: number) =>
  `${count.toLocaleString('en-US')} ${count === 1 ? 'file' : 'files'} will be announced\n`;

describe('npm run events -- replay', () => {
  it('makes the events of all READY files due, and of no other', async () => {
    await addFiles('ada', 2);
    await addFiles('ada', 1, 'pending');
    await addFiles('ada', 1, 'deleted');
    await addFiles('grace', 1);
    expect(await run(['replay'])).toEqual({ code: 0, stdout: REPLAYED(3), stderr: '' });
    expect(await due()).toEqual(['ada/1', 'ada/2', 'grace/1']);
  });

  it('gives each file a greater revision, so that no consumer takes the event for an old one', async () => {
    await addFiles('ada', 1);
    const revision = async () => Number((await pool.query('select revision from files')).rows[0].revision);
    await run(['replay']);
    const first = await revision();
    await run(['replay']);
    expect(await revision()).toBeGreaterThan(first);
  });

  it('with --user replays the files of that user only', async () => {
    await addFiles('ada', 1);
    await addFiles(AWKWARD, 1);
    expect(await run(['replay', `--user=${AWKWARD}`])).toMatchObject({ code: 0, stdout: REPLAYED(1) });
    expect(await due()).toEqual([`${AWKWARD}/1`]);
    expect(await run(['replay', '--user', 'linus'])).toMatchObject({ code: 0, stdout: REPLAYED(0) });
  });

  it.each([
    ['2026-11-02', 2],
    ['2026-11-02T00:00:00Z', 2],
    ['2026-11-02T01:00:00+01:00', 2],
    ['2026-11-02T00:00:00.001Z', 1],
    ['2026-11-04', 0],
  ])('with --since %s replays %i of the files of three days', async (since, count) => {
    for (const day of [1, 2, 3]) await addFiles('ada', 1, 'ready', `2026-11-0${day}T00:00:00Z`);
    expect(await run(['replay', '--since', since])).toMatchObject({ code: 0, stdout: REPLAYED(count) });
    expect(await due()).toHaveLength(count);
  });

  it('replays more files than fit into one statement, each once', async () => {
    await addFiles('ada', 1_234);
    await addFiles('grace', 1_001);
    expect(await run(['replay'])).toEqual({ code: 0, stdout: REPLAYED(2_235), stderr: '' });
    expect(await due()).toHaveLength(2_235);
  });

  it('draws its progress on a terminal only, and removes it', async () => {
    await addFiles('ada', 300);
    await slowDown(0.15);
    const { stdout, stderr } = await run(['replay'], { isWatched: true });
    await speedUp();
    expect(stdout).toBe(REPLAYED(300));
    expect(stderr).toMatch(/\d+ files, \d+ files\/s/);
    expect(stderr.endsWith('\r\x1b[K')).toBe(true);
  });
});

describe('an interrupted replay', () => {
  it('ends after the statement that runs, and prints a command that replays the rest', async () => {
    await addFiles(AWKWARD, 250);
    const options = ['--user', AWKWARD, '--since', '2026-01-01'];
    const first = await run(['replay', ...options], { signal: AbortSignal.abort() });
    expect(first).toMatchObject({ code: 130, stdout: REPLAYED(100) });
    const [, command = ''] = /^to continue: npm run events -- (.*)\n$/.exec(first.stderr) ?? [];
    expect(await run(await argumentsOf(command))).toMatchObject({ code: 0, stdout: REPLAYED(150) });
    expect(await due()).toHaveLength(250);
  });

  it('continues with the files of other users', async () => {
    await addFiles('ada', 150);
    await addFiles('grace', 50);
    const first = await run(['replay'], { signal: AbortSignal.abort() });
    expect(first.stderr).toBe(
      "to continue: npm run events -- replay --after 'ada,ready-2026-11-01_000100'\n",
    );
    const rest = await run(['replay', '--after', 'ada,ready-2026-11-01_000100']);
    expect(rest).toEqual({ code: 0, stdout: REPLAYED(100), stderr: '' });
  });

  it('ends with code 130 after SIGINT', async () => {
    await addFiles('ada', 2_000);
    await slowDown(0.1);
    const command = [process.execPath, join(PROJECT, 'src/main.ts'), 'events', 'replay'] as const;
    await using replay = launchService({ command, environment });
    let hasEnded = false;
    void replay.exit.then(() => {
      hasEnded = true;
    });
    while (!hasEnded && (await due()).length === 0) await sleep(20);
    replay.kill('SIGINT');
    expect(await replay.untilGone()).toEqual({ code: 130, signal: null });
    await speedUp();
    expect(replay.printed.stdout).toBe(REPLAYED((await due()).length));
    expect(replay.printed.stderr).toMatch(/^to continue: npm run events -- replay --after 'ada,[^']+'\n$/);
  });
});

describe('a replay that Postgres refuses', () => {
  it('says why, and how to continue behind the last file that will be announced', async () => {
    await addFiles('ada', 150);
    await pool.query(`
      create function refuse() returns trigger language plpgsql as $$
        begin raise exception 'no \x1b[2J more'; end $$;
      create trigger refuse before update on files for each row when (new.filename = '120') execute function refuse()`);
    const { code, stdout, stderr } = await run(['replay']);
    await pool.query('drop trigger refuse on files; drop function refuse');
    expect({ code, stdout }).toEqual({ code: 1, stdout: REPLAYED(100) });
    expect(stderr).toContain('the replay has failed: no \\u001b[2J more\n');
    expect(stderr).toContain("to continue: npm run events -- replay --after 'ada,ready-2026-11-01_000100'\n");
    expect(await due()).toHaveLength(100);
  });

  it('names the error of the connection, if there is none', async () => {
    const variables = environmentOf('postgres://files:secret@127.0.0.1:1/files');
    expect(await run(['replay'], { variables })).toEqual({
      code: 1,
      stdout: REPLAYED(0),
      stderr: 'the replay has failed: connect ECONNREFUSED 127.0.0.1:1\n',
    });
  });

  it.each([
    ['no migration has', {}],
    ['the migration of events has not', { '0001-files': files, '0002-type-changed': typeChanged }],
  ])('says to migrate first if %s run', async (_, migrations) => {
    await using old = await createDatabase();
    const oldPool = openPool(old.url);
    await migrate(oldPool, migrations);
    await oldPool.end();
    await expect(run(['replay'], { variables: environmentOf(old.url) })).rejects.toThrow(
      'the table has no columns for events: run "npm run migrate" of this release first',
    );
  });
});

it('without EVENTS_URL refuses to run, because no instance would deliver', async () => {
  await addFiles('ada', 1);
  await expect(run(['replay'], { variables: { EVENTS_URL: '' } })).rejects.toThrow(
    'EVENTS_URL is required, because without it no instance delivers events',
  );
  expect(await due()).toEqual([]);
});

it('brings the embedded Postgres up to date by itself, because npm run migrate refuses that', async () => {
  await using data = await temporaryDirectory();
  const command = [process.execPath, join(PROJECT, 'src/main.ts'), 'events', 'replay'] as const;
  const variables = { DATA_DIR: join(data.path, 'data'), EVENTS_URL: NOWHERE };
  await using replay = launchService({ command, environment: variables });
  const { code } = await replay.exit;
  expect({ code, ...replay.printed }).toEqual({ code: 0, stdout: REPLAYED(0), stderr: '' });
}, 60_000);

describe('wrong arguments', () => {
  it.each([
    ['no command', [], 'the only command of events is replay'],
    ['another command', ['repaly'], 'the only command of events is replay'],
    ['a second command', ['replay', 'ada'], 'the only command of events is replay'],
    ['an empty user', ['replay', '--user', ''], '--user has no value'],
    ['a time in words', ['replay', '--since', 'yesterday'], '--since must have the form'],
    ['a time without a zone', ['replay', '--since', '2026-11-02T00:00:00'], '--since must have the form'],
    ['a month that does not exist', ['replay', '--since', '2026-13-01'], '--since must have the form'],
    ['a file without a key', ['replay', '--after', 'ada'], '--after must have the form ID,KEY'],
    ['a key that is too long', ['replay', '--after', `ada,${'x'.repeat(241)}`], 's3_key must be'],
    ['escape sequences', ['replay', `--${hostileText('forged')}`], 'Unknown option'],
  ])('with %s are refused with the usage and code 2', async (_, args, problem) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(problem);
    expect(stderr).toContain('usage: npm run events -- replay');
    expect(stderr).not.toMatch(UNPRINTABLE);
    expect(stderr.split('\n')).not.toContain('forged');
  });
});

/** Makes each statement that changes files take longer. */
async function slowDown(seconds: number): Promise<void> {
  await pool.query(`
    create function slow() returns trigger language plpgsql as $$
      begin perform pg_sleep(${seconds}); return null; end $$;
    create trigger slow before update on files for each statement execute function slow()`);
}

async function speedUp(): Promise<void> {
  await pool.query('drop trigger slow on files; drop function slow');
}

/** The arguments that a shell makes of a command line. */
async function argumentsOf(command: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('bash', bashScript(`printf '%s\\n' ${command}`));
  return stdout.trimEnd().split('\n');
}
