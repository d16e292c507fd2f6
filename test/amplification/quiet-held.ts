import { setTimeout as sleep } from 'node:timers/promises';
import type { Probe } from './probe-client.ts';

/** 64 connections that are still closing hold 3 MB. The tolerance is the heap of two such connections. */
const QUIET_BYTES = 100e3;

/** Waits until the connections of the previous case are released and the heap does not shrink any more. */
export async function quietHeld(probe: Probe): Promise<number> {
  let beforeBytes = Number.POSITIVE_INFINITY;
  for (;;) {
    await sleep(10);
    const heldBytes = await probe.heldBytes();
    if (heldBytes > beforeBytes - QUIET_BYTES) return heldBytes;
    beforeBytes = heldBytes;
  }
}
