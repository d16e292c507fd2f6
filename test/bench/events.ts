/**
 * Compares the cost of a create with events (EVENTS_URL) and without. Both services are ours, run at the same time, and
 * are called in turns. The consumer takes every event.
 *
 * A file that is created and does not arrive is looked for after 2, 4, 8 and 16 s. These looks are not part of a create,
 * so they are measured apart.
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

/** How long a file is looked for more often than without events. */
const FIRST_LOOKS_MS = 20_000;
const FIRST_LOOKS_FILES = 3_000;

export interface EventsFigures {
  create: Figures;
  /** The CPU time of the service for the looks of a file that never arrives, in the first 20 s. */
  firstLooksMicroseconds: number;
}

export async function measureEvents(servers: BenchServers): Promise<EventsFigures> {
  await using pair = await startEventsPair(servers);
  const { on, off, create } = pair;
  return {
    create: await measure({ name: EVENTS_CALL, load: create.load }, [on, off]),
    firstLooksMicroseconds: await measureFirstLooks(create, on),
  };
}

/** Starts the service with events and without. No look is due in them. */
export async function startEventsPair(servers: BenchServers) {
  const [create] = CALLS;
  if (create === undefined) throw new Error('no call is measured');
  const consumer = await startHttpConsumer();
  const start = async (name: string, more: Record<string, string>) =>
    startStack(name, { ...(await servers.environment()), SWEEP_INTERVAL_SECONDS: '3600', ...more });
  const on = await start('ours', { EVENTS_URL: consumer.url.href });
  const off = await start('without events', {});
  for (const stack of [on, off]) {
    await fill(stack);
    await postponeLooks(stack);
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

/** A trigger makes the first look of each new file due in an hour. It costs time in Postgres only. */
async function postponeLooks({ database }: Stack): Promise<void> {
  await database.query(`
    create function postpone_look() returns trigger language plpgsql as
      'begin new.due_at := now() + interval ''1 hour''; return new; end';
    create trigger postpone_look before insert on files for each row execute function postpone_look()`);
}

export async function measureFirstLooks(create: MeasuredCall, stack: Stack): Promise<number> {
  const used = async () => {
    const before = await cpuMicroseconds(stack.service.pid);
    await sleep(FIRST_LOOKS_MS);
    return (await cpuMicroseconds(stack.service.pid)) - before;
  };
  const idle = await used();
  await run(create, stack, 'looks', FIRST_LOOKS_FILES);
  await stack.database.query(`
    drop trigger postpone_look on files;
    update files set due_at = now() + interval '2 s' where user_id like '%-looks-%'`);
  return ((await used()) - idle) / FIRST_LOOKS_FILES;
}
