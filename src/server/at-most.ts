import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for the work, but not longer than this. The work itself goes on. */
export async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work, sleep(milliseconds, undefined, { ref: false })]);
}
