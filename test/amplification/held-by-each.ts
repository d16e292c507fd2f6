import { expect, vi } from 'vitest';
import { quietHeld } from './quiet-held.ts';
import type { RawRequest } from './request.ts';
import { openSender, settled } from './sender.ts';
import type { ProbedService } from './service.ts';

/** Memory that is only freed late is not measured in each try, but memory that a request holds is. */
const TRIES = 3;

interface Copies {
  copies: number;
  /** The copies are spread over this many connections. Over HTTP/1.1, each copy has a connection. */
  connections: number;
  maxBytes: number;
  refusal?: Refusal;
}

/** What must come before the measurement, if the request is answered before it has ended. */
export interface Refusal {
  /** The code that answers at least one of the copies. */
  readonly code: string;
  /** The number of copies that are not answered. Default: 0. */
  readonly openCopies?: number;
}

/**
 * Sends copies of a request, each without its end, and measures the heap of the service. Repeats the measurement if
 * the result is not below `maxBytes`.
 *
 * @returns the heap bytes that each copy holds
 */
export async function heldByEach(
  service: ProbedService,
  request: RawRequest,
  copies: Copies,
): Promise<number> {
  let leastBytes = Number.POSITIVE_INFINITY;
  for (let tried = 0; tried < TRIES && leastBytes >= copies.maxBytes; tried++) {
    leastBytes = Math.min(leastBytes, await measure(service, request, copies));
  }
  return leastBytes;
}

async function measure(
  { probe, ports }: ProbedService,
  request: RawRequest,
  { copies, connections, refusal }: Copies,
): Promise<number> {
  const baseBytes = await quietHeld(probe);
  const senders = Array.from({ length: connections }, () => openSender(ports));
  try {
    const codes: string[] = [];
    for (let copy = 0; copy < copies; copy++) {
      void senders[copy % connections]?.send(request, 'half open').then(({ code }) => codes.push(code));
    }
    await settled(senders);
    if (refusal !== undefined) {
      const { code, openCopies = 0 } = refusal;
      await vi.waitFor(() => expect(codes).toHaveLength(copies - openCopies), { timeout: 5_000 });
      expect(codes).toContain(code);
    }
    return ((await quietHeld(probe)) - baseBytes) / copies;
  } finally {
    for (const sender of senders) sender[Symbol.dispose]();
  }
}
