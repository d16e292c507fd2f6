import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until `work` ends, but not longer than `milliseconds`. After a time-out, `work` itself goes on. */
export async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work, sleep(milliseconds, undefined, { ref: false })]);
}
