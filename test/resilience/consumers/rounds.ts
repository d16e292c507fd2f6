import { setTimeout as sleep } from 'node:timers/promises';
import { LONG } from '../../harness/long-form.ts';
import { grpcJsCaller } from '../callers.ts';
import { startSteadyLoad } from '../steady-load.ts';
import type { Announcing } from './service.ts';

/** The users of the load. Each of them has one call under way. */
const USERS = 6;
const ROUND_MS = LONG ? 2_000 : 1_000;

/** Deleted files that the sweeper removes during a round. */
const SWEPT_FILES = 300;
const SWEPT_USERS = 20;
const POLL_MS = 10;

export interface Round {
  callsMs: readonly number[];
  failures: readonly string[];
  /** From the first removed file to the last one. */
  sweepMs: number;
}

/** Calls the service, and lets it sweep deleted files at the same time. */
export async function runRound(announcing: Announcing): Promise<Round> {
  const load = startSteadyLoad(grpcJsCaller([announcing.service.grpc]), USERS);
  const [sweepMs] = await Promise.all([measureSweeps(announcing), sleep(ROUND_MS)]);
  const { durationsMs, failures } = await load.stop();
  return { callsMs: durationsMs, failures, sweepMs };
}

async function measureSweeps({ database }: Announcing): Promise<number> {
  await database.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
     select user_id, user_id || '_' || gen_random_uuid(), 'deleted', '', 'text/plain', decode(md5(n::text), 'hex'),
       now() - interval '90 days', now()
     from (select n, 'swept-' || n % $1::int as user_id from generate_series(1, $2::int) as n) as numbered`,
    [SWEPT_USERS, SWEPT_FILES],
  );
  let startMs: number | undefined;
  for (;;) {
    const { rows } = await database.query(
      `select count(*)::int as left_over from files where user_id like 'swept-%'`,
    );
    const left = rows[0].left_over;
    if (left < SWEPT_FILES) startMs ??= performance.now();
    if (left === 0) return performance.now() - (startMs ?? 0);
    await sleep(POLL_MS);
  }
}
