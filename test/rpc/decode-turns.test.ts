import { setImmediate as nextIteration } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createDecodeTurns } from '../../src/rpc/limits/decode-turns.ts';

const LARGE = 192 * 1024;

const fail = (error: unknown) => {
  throw error;
};

describe('decoding large messages', () => {
  it('decodes at most two in one iteration of the event loop', async () => {
    const takeTurn = createDecodeTurns();
    let decoded = 0;
    for (let user = 0; user < 40; user++) {
      takeTurn({ userId: `user ${user}`, bytes: LARGE }, () => void decoded++, fail);
    }
    for (let before = 0; before < 40; before = decoded) {
      expect(decoded - before).toBeLessThanOrEqual(2);
      await nextIteration();
    }
  });

  it('decodes a user’s message before the 50 messages that another user sent earlier', async () => {
    const takeTurn = createDecodeTurns();
    let decoded = 0;
    for (let sent = 0; sent < 50; sent++) {
      takeTurn({ userId: 'greedy', bytes: LARGE }, () => void decoded++, fail);
    }
    const earlier = await new Promise((resolve) => {
      takeTurn({ userId: 'modest', bytes: LARGE }, () => resolve(decoded), fail);
    });
    expect(earlier).toBeLessThan(10);
  });

  it('decodes a small message at once', () => {
    const takeTurn = createDecodeTurns();
    for (let sent = 0; sent < 50; sent++) takeTurn({ userId: 'greedy', bytes: LARGE }, () => {}, fail);
    let isDecoded = false;
    takeTurn(
      { userId: 'greedy', bytes: 1_000 },
      () => {
        isDecoded = true;
      },
      fail,
    );
    expect(isDecoded).toBe(true);
  });
});
