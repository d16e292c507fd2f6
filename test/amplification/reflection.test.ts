import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ServerReflectionRequestSchema } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { envelope } from '../resilience/http2-frames.ts';
import { orchestratorAndOthers, watchLiveness } from './liveness.ts';
import { callOn } from './ordinary-call.ts';
import { gateway, keepService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: 60_000 });

/** The size of all questions together. Tools ask at most a few kilobytes. */
const QUESTIONS_BYTES = 3_000_000;
/**
 * The limits for the answers on one stream, and on all streams of a connection together. The expensive
 * question has an answer of 4 kB, and tools ask some dozens of questions.
 */
const STREAM_ANSWERS_MAX_BYTES = 4_000_000;
const ANSWERS_MAX_BYTES = 50_000_000;
/** A fifth of the heap that `npm start` sets. */
const GROWTH_MAX_MB = 100;
/** The time after which a client that asks without end must have been cut off. */
const CUT_OFF_MS = 10_000;
const STREAMS = 100;

/** An expensive question, for a file and all its imports. */
const QUESTION = envelope(
  toBinary(
    ServerReflectionRequestSchema,
    create(ServerReflectionRequestSchema, {
      messageRequest: { case: 'fileContainingSymbol', value: 'files.v1.FileService' },
    }),
  ),
);

let keeper: ServiceKeeper;
beforeAll(async () => {
  keeper = await keepService();
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

describe.for(['gRPC', 'HTTP'] as const)('endless questions to the reflection of the %s port', (port) => {
  it.for([1, STREAMS])('on %d streams are cut off, and their answers are bounded', async (streams) => {
    const service = await keeper.alive();
    const { process, ports } = service;
    const [livez] = orchestratorAndOthers(service, '');
    if (livez === undefined) throw new Error('there is no check of /livez');
    using liveness = await watchLiveness([livez]);
    const beforeMb = await residentMb(process.pid);
    const session = connectHttp2(`http://127.0.0.1:${ports[port]}`, { maxSessionMemory: 1_000 });
    session.on('error', () => {}).on('connect', () => session.setLocalWindowSize(2 ** 30));
    try {
      const asked = Array.from({ length: streams }, () =>
        askWithoutEnd(session, Math.floor(QUESTIONS_BYTES / streams / QUESTION.length) * QUESTION.length),
      );
      await Promise.race([Promise.all(asked.map(({ cutOff }) => cutOff)), sleep(CUT_OFF_MS)]);
      expect(asked.reduce((sum, { answersBytes }) => sum + answersBytes(), 0)).toBeLessThan(
        ANSWERS_MAX_BYTES,
      );
      for (const { answersBytes, isOpen } of asked) {
        expect(answersBytes()).toBeLessThan(STREAM_ANSWERS_MAX_BYTES);
        // With a hundred streams, each stream may stay below its limit.
        if (streams === 1) expect(isOpen()).toBe(false);
      }
      expect((await residentMb(process.pid)) - beforeMb).toBeLessThan(GROWTH_MAX_MB);
      expect((await liveness.report()).flatMap(({ problems }) => problems)).toEqual([]);
    } finally {
      session.destroy();
    }
    expect(await callOn(port, ports)).toBe('OK');
  });
});

interface Asked {
  /** Resolves when the service has ended the stream, or the connection. */
  readonly cutOff: Promise<void>;
  isOpen(): boolean;
  answersBytes(): number;
}

/** Asks as fast as possible, reads all answers, and never ends its half of the stream. */
function askWithoutEnd(session: ClientHttp2Session, questionsBytes: number): Asked {
  const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
  const stream = session.request(
    {
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...gateway('ada'),
    },
    { endStream: false },
  );
  let answersBytes = 0;
  let isOpen = true;
  stream
    .on('error', () => {})
    .on('data', (part: Buffer) => {
      answersBytes += part.length;
    });
  const cutOff = new Promise<void>((resolve) => {
    // The trailers end the service's half of the stream, even if the client is still sending.
    for (const event of ['end', 'close'])
      stream.once(event, () => {
        isOpen = false;
        stream.close(constants.NGHTTP2_CANCEL);
        resolve();
      });
  });
  stream.write(Buffer.alloc(questionsBytes, QUESTION));
  return { cutOff, isOpen: () => isOpen, answersBytes: () => answersBytes };
}
