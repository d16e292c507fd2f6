import type { DescMethod } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';
import { LONG } from '../harness/long-form.ts';
import { casesOf, nameOfRoute, type Route, routes } from './cases.ts';
import { callOn } from './ordinary-call.ts';
import { httpVersionOf } from './protocols.ts';
import { quietHeld } from './quiet-held.ts';
import { requestOf } from './request.ts';
import { openSender, settled } from './sender.ts';
import { gateway, keepService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: 30_000 });

/** The heap that an unfinished request may hold beside its bytes: stream, headers and timers. */
const HELD_MAX_BYTES = 12e3;

const COPIES = 256;

/** Memory that is only freed late is not measured in each try, but memory that a request holds is. */
const TRIES = 3;

let keeper: ServiceKeeper;
beforeAll(async () => {
  keeper = await keepService();
  const { ports } = await keeper.alive();
  for (let call = 0; call < 20; call++)
    for (const port of ['gRPC', 'HTTP'] as const) await callOn(port, ports);
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

/** In the short form, one method behind the call gate and one before it. The same code reads all requests. */
const SHORT = [FileService.method.listFiles, Health.method.check];

/** Unary methods over HTTP/2, whose connection does not count. Over HTTP/1.1 the same code reads the requests. */
const unary = routes()
  .filter(({ method, protocol }) => method.methodKind === 'unary' && httpVersionOf(protocol, method) === 2)
  .filter(({ method }) => LONG || (SHORT as DescMethod[]).includes(method));

describe('an unfinished request holds at most 12 kB of heap beside its bytes', () => {
  it.for(unary.map((route) => ({ name: nameOfRoute(route), route })))('$name', async ({ route }) => {
    let leastBytes = Number.POSITIVE_INFINITY;
    for (let tried = 0; tried < TRIES && leastBytes >= HELD_MAX_BYTES; tried++) {
      leastBytes = Math.min(leastBytes, await heldByEach(route));
    }
    expect(leastBytes).toBeLessThan(HELD_MAX_BYTES);
  });
});

async function heldByEach(route: Route): Promise<number> {
  const { probe, ports } = await keeper.alive();
  const [nothing] = casesOf(route);
  if (nothing === undefined) throw new Error('the route has no cases');
  const request = { ...requestOf(nothing, gateway('ada')), body: Buffer.alloc(1) };
  const baseBytes = await quietHeld(probe);
  using sender = openSender(ports);
  for (let copy = 0; copy < COPIES; copy++) void sender.send(request, 'half open');
  await settled([sender]);
  return ((await probe.heldBytes()) - baseBytes) / COPIES;
}
