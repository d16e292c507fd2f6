import { PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createSharedCapacity } from '../../src/overload/shared-capacity.ts';
import { readGrpcMessage } from '../../src/rpc/grpc/message.ts';
import { limitDecoders } from '../../src/rpc/limits/decoders.ts';
import { MESSAGES_MAX_BYTES } from '../../src/rpc/limits/message-limits.ts';
import { envelope } from '../resilience/http2-frames.ts';

const BUDGET_BYTES = 1_000;

describe('the budget for messages', () => {
  it('gives a lone user half of the bytes, and leaves room for other users', () => {
    const budget = createSharedCapacity(BUDGET_BYTES);
    while (budget.take('greedy', 10));
    expect(budget.taken).toBe(BUDGET_BYTES / 2);
    for (let i = 0; i < 20; i++) expect(budget.take(`modest-${i}`, 10)).toBe(true);
    expect(budget.take('greedy', 10)).toBe(false);
  });

  it('gives all callers without proof together half of the bytes', () => {
    const budget = createSharedCapacity(BUDGET_BYTES);
    while (budget.take(undefined, 10));
    expect(budget.taken).toBe(BUDGET_BYTES / 2);
    expect(budget.take('ada', 200)).toBe(true);
  });

  it('is complete again when all bytes were given back', () => {
    const budget = createSharedCapacity(BUDGET_BYTES);
    for (let round = 0; round < 3; round++) {
      expect([300, 200, 1].map((bytes) => budget.take('ada', bytes))).toEqual([true, true, false]);
      budget.giveBack('ada', 500);
      expect(budget.taken).toBe(0);
    }
  });
});

it('a gRPC message counts once in the budget, even after it was passed to grpc-js', async () => {
  const budget = createSharedCapacity(MESSAGES_MAX_BYTES);
  // The stream of a call closes when the call was answered, and not when the request was read.
  const stream = new PassThrough({ autoDestroy: false });
  const { promise, resolve: onMessage, reject: onError } = Promise.withResolvers<Buffer>();
  const runDecoder = limitDecoders();
  const options = {
    maxBytes: 16_384,
    encoding: undefined,
    userId: 'ada',
    budget,
    runDecoder,
    onMessage,
    onError,
  };
  readGrpcMessage(stream as never, options);
  const sent = envelope(Buffer.alloc(5_000));
  stream.end(sent);
  const message = await promise;
  stream.on('data', () => {}).emit('data', message);
  expect(budget.taken).toBe(sent.length);
  stream.destroy();
  await nextTurn();
  expect(budget.taken).toBe(0);
});
