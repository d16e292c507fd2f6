import type { DescMethod } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';
import { OPEN_STREAMS_PER_CONNECTION_MAX } from '../../src/rpc/limits/limits.ts';
import { LONG } from '../harness/long-form.ts';
import { casesOf, nameOfRoute, type Route, routes } from './cases.ts';
import { heldByEach } from './held-by-each.ts';
import { warmUp } from './ordinary-call.ts';
import { httpVersionOf } from './protocols.ts';
import { requestOf } from './request.ts';
import { gateway, keepService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: 30_000 });

/** The heap that an unfinished request may hold beside its bytes: stream, headers and timers. */
const REQUEST_MAX_BYTES = 12e3;

/**
 * The heap that an open stream of reflection may hold. grpc-js or connect-node serves the stream while its client still
 * sends. A port has at most 1,000 such streams (UNPROVEN_REQUESTS_MAX), so all streams together hold 60 MB at most.
 */
const STREAM_MAX_BYTES = 60e3;

const COPIES = 256;

let keeper: ServiceKeeper;
beforeAll(async () => {
  keeper = await keepService();
  await warmUp((await keeper.alive()).ports);
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

/** In the short form, one method behind the call gate and one before it. The same code reads all requests. */
const SHORT = [FileService.method.listFiles, Health.method.check];

/** Over HTTP/2, the connection does not count. Over HTTP/1.1 the same code reads the requests. */
const overHttp2 = routes().filter(({ method, protocol }) => httpVersionOf(protocol, method) === 2);

const unary = overHttp2.filter(
  ({ method }) => method.methodKind === 'unary' && (LONG || (SHORT as DescMethod[]).includes(method)),
);

const streams = overHttp2.filter(({ method }) => method.methodKind !== 'unary');

const named = (some: readonly Route[]) => some.map((route) => ({ name: nameOfRoute(route), route }));

/** A request of one byte. The message in it, or its prefix, is unfinished. */
function begun(route: Route) {
  const [nothing] = casesOf(route);
  if (nothing === undefined) throw new Error('the route has no cases');
  return { ...requestOf(nothing, gateway('ada')), body: Buffer.alloc(1) };
}

describe('an unfinished request holds at most 12 kB of heap beside its bytes', () => {
  it.for(named(unary))('$name', async ({ route }) => {
    const held = { copies: COPIES, connections: 1, maxBytes: REQUEST_MAX_BYTES };
    expect(await heldByEach(await keeper.alive(), begun(route), held)).toBeLessThan(REQUEST_MAX_BYTES);
  });
});

describe('an open stream of Watch or reflection holds at most 60 kB of heap, with its connection', () => {
  it.for(named(streams))('$name', async ({ route }) => {
    const connections = COPIES / OPEN_STREAMS_PER_CONNECTION_MAX;
    const held = { copies: COPIES, connections, maxBytes: STREAM_MAX_BYTES };
    expect(await heldByEach(await keeper.alive(), begun(route), held)).toBeLessThan(STREAM_MAX_BYTES);
  });
});
