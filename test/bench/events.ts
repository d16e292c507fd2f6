/**
 * Compares the cost of a create with events (EVENTS_URL) and without. Both services are ours, run at the same time, and
 * are called in turns. The consumer takes every event.
 *
 * With events, a file that is created and does not arrive is swept after 2, 4, 8 and 16 s, too
 * (src/postgres/statements/expressions.ts). These early sweeps are not part of a create, so they are measured apart.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startHttpConsumer } from '../events/http-consumer.ts';
import { CALLS, fill, type MeasuredCall } from './calls.ts';
import { cpuMicroseconds } from './cpu.ts';
import type { Figures } from './report.ts';
import { measure, run } from './rounds.ts';
import type { BenchServers } from './servers.ts';
import { type Stack, startStack } from './stack.ts';

export const EVENTS_CALL = 'create, new, with events';

/** The time of the early sweeps of a file. */
const EARLY_SWEEPS_MS = 20_000;
const EARLY_SWEPT_FILES = 3_000;

export interface EventsFigures {
  create: Figures;
  /** The CPU time of the service for the early sweeps of a file that never arrives. */
  earlySweepsMicroseconds: number;
}

export async function measureEvents(servers: BenchServers): Promise<EventsFigures> {
  await using pair = await startEventsPair(servers);
  const { on, off, create } = pair;
  return {
    create: await measure({ name: EVENTS_CALL, load: create.load }, [on, off]),
    earlySweepsMicroseconds: await measureEarlySweeps(create, on),
  };
}

/** Starts the service with events and without. No sweep is due in them. */
async function startEventsPair(servers: BenchServers) {
  const [create] = CALLS;
  if (create === undefined) throw new Error('no call is measured');
  const consumer = await startHttpConsumer();
  const start = async (name: string, more: Record<string, string>) =>
    startStack(name, { ...(await servers.environment()), SWEEP_INTERVAL_SECONDS: '3600', ...more });
  const on = await start('ours', { EVENTS_URL: consumer.url.href });
  const off = await start('without events', {});
  for (const stack of [on, off]) {
    await fill(stack);
    await postponeSweeps(stack);
  }
  return {
    on,
    off,
    create,
    async [Symbol.asyncDispose]() {
      await on[Symbol.asyncDispose]();
      await off[Symbol.asyncDispose]();
      await consumer[Symbol.asyncDispose]();
    },
  };
}

/** A trigger makes the first sweep of each new file due in an hour. It costs time in Postgres only. */
async function postponeSweeps({ database }: Stack): Promise<void> {
  await database.query(`
    create function postpone_sweep() returns trigger language plpgsql as
      'begin new.due_at := now() + interval ''1 hour''; return new; end';
    create trigger postpone_sweep before insert on files for each row execute function postpone_sweep()`);
}

async function measureEarlySweeps(create: MeasuredCall, stack: Stack): Promise<number> {
  const used = async () => {
    const before = await cpuMicroseconds(stack.service.pid);
    await sleep(EARLY_SWEEPS_MS);
    return (await cpuMicroseconds(stack.service.pid)) - before;
  };
  const idle = await used();
  await run(create, stack, 'swept', EARLY_SWEPT_FILES);
  await stack.database.query(`
    drop trigger postpone_sweep on files;
    update files set due_at = now() + interval '2 s' where user_id like '%-swept-%'`);
  return ((await used()) - idle) / EARLY_SWEPT_FILES;
}
