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

/** What a client asks in all: no tool asks more than a few kilobytes. */
const QUESTIONS_BYTES = 3_000_000;
/**
 * What may be answered on one stream, and on all streams of a connection together. The expensive question has an answer
 * of 4 kB, and tools ask some dozens.
 */
const STREAM_ANSWERS_MAX_BYTES = 4_000_000;
const ANSWERS_MAX_BYTES = 50_000_000;
/** A fifth of the heap that `npm start` gives. */
const GROWTH_MAX_MB = 100;
/** After which a client that asks without end has been cut off. */
const CUT_OFF_MS = 10_000;
const STREAMS = 100;

/** An expensive one: a file, and all that it imports. */
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

describe.for(['gRPC', 'HTTP'] as const)('questions without end to the reflection of the %s port', (port) => {
  it.for([1, STREAMS])('on %d streams: cut off, and bounded', async (streams) => {
    const service = await keeper.alive();
    const { process, ports } = service;
    const [livez] = orchestratorAndOthers(service, '');
    if (livez === undefined) throw new Error('nobody looks');
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
        // A hundred streams may each have asked little enough.
        if (streams === 1) expect(isOpen()).toBe(false);
      }
      expect((await residentMb(process.pid)) - beforeMb).toBeLessThan(GROWTH_MAX_MB);
      expect((await liveness.report()).flatMap(({ faults }) => faults)).toEqual([]);
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

/** Asks as fast as it can, reads all answers, and never ends its half. */
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
    // Trailers are the end of the service's half, whatever the client still says.
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
