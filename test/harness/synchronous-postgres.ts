import type pg from 'pg';
import { vi } from 'vitest';
import { startPostgres } from '../../src/dev/postgres/postgres.ts';
import { openPool } from './database.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** The longest wait for Postgres to apply a setting, also on a busy machine. */
const WAIT = { timeout: 10_000 };

/** A Postgres server of its own. Its commits can wait for a synchronous standby that never connects. */
interface SynchronousPostgres extends AsyncDisposable {
  /** The URL of the database `files`, for a superuser. */
  readonly url: string;
  /** The directory of the server, which holds `cluster/data`. */
  readonly directory: string;
  /** Statements of the test. Their commits never wait. */
  readonly admin: pg.Pool;
  /** From now on, each commit waits. */
  hang(): Promise<void>;
  /** From now on, no commit waits, and the waiting commits succeed. */
  recover(): Promise<void>;
  /** The number of sessions whose commit waits for the standby. */
  waiting(): Promise<number>;
}

export async function startSynchronousPostgres(
  settings: Record<string, string> = {},
): Promise<SynchronousPostgres> {
  const directory = await temporaryDirectory();
  const postgres = await startPostgres({
    directory: directory.path,
    settings: { fsync: 'off', wal_level: 'replica', max_wal_senders: '2', ...settings },
  });
  const url = new URL(postgres.url);
  const commitsHere = new URL(url);
  commitsHere.searchParams.set('options', '-c synchronous_commit=local');
  const admin = openPool(commitsHere.href, 3);

  const waiting = async () => {
    const { rows } = await admin.query(
      `select count(*)::int from pg_stat_activity where wait_event = 'SyncRep'`,
    );
    return rows[0].count as number;
  };
  const setStandby = async (value: string) => {
    await admin.query(`alter system set synchronous_standby_names = '${value}'`);
    await admin.query('select pg_reload_conf()');
  };
  return {
    url: url.href,
    directory: directory.path,
    admin,
    waiting,
    async hang() {
      await setStandby('absent');
      // The checkpointer applies the setting a moment later. Until then, commits do not wait.
      const client = await admin.connect();
      await client.query('set synchronous_commit = on');
      await vi.waitFor(async () => {
        const commit = client.query(`select pg_logical_emit_message(true, 'test', '')`);
        const ended = commit.then(() => 'ended' as const);
        const first = await Promise.race([ended, vi.waitUntil(async () => (await waiting()) > 0, WAIT)]);
        await admin.query(`select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`);
        await commit;
        if (first === 'ended') throw new Error('commits do not wait yet');
      }, WAIT);
      client.release(true);
    },
    recover: () => setStandby(''),
    async [Symbol.asyncDispose]() {
      await admin.end();
      await postgres.stop();
      await directory[Symbol.asyncDispose]();
    },
  };
}
