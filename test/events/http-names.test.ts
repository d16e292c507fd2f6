import dns from 'node:dns';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { eventToProto } from '../../src/events/event-message.ts';
import { createHttpTransport } from '../../src/events/transports/http.ts';
import { startHttpConsumer } from './http-consumer.ts';
import { sampleEvent } from './sample.ts';

const MESSAGE = eventToProto(sampleEvent());
const NAME = 'consumer.test';

interface NameServer {
  /** The addresses of the consumer's name. Empty: the name is unknown. */
  addresses: string[];
  lookups: number;
  /** When the name server answers. */
  answer: Promise<unknown>;
}

/** Stands in for the name server, because tests must not ask a real one. */
function useNameServer(): NameServer {
  const server: NameServer = { addresses: ['127.0.0.1'], lookups: 0, answer: Promise.resolve() };
  const { lookup: realLookup } = dns;
  const lookup = async (name: string, options: object, callback: (...result: unknown[]) => void) => {
    // The test server listens on an address, which Node looks up, too.
    if (name !== NAME) return realLookup(name, options as never, callback as never);
    server.lookups++;
    const { answer, addresses } = server;
    await answer;
    if (addresses.length > 0)
      callback(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    else callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }));
  };
  vi.spyOn(dns, 'lookup').mockImplementation(lookup as never);
  return server;
}

afterEach(() => vi.restoreAllMocks());

describe('the name of a consumer over HTTP', () => {
  it('is looked up once for deliveries that begin together', async () => {
    const names = useNameServer();
    const answered = Promise.withResolvers<void>();
    names.answer = answered.promise;
    await using consumer = await startHttpConsumer();
    const transport = createHttpTransport(new URL(`http://${NAME}:${consumer.url.port}/`), undefined);
    const begun = Array.from({ length: 32 }, () => transport.deliver(MESSAGE));
    await expect.poll(() => names.lookups).toBe(1);
    answered.resolve();
    const deliveries = await Promise.all(begun);
    transport.close();
    expect(new Set(deliveries.map(({ outcome }) => outcome))).toEqual(new Set(['delivered']));
    expect(names.lookups).toBe(1);
  });

  it('may hang: deliveries end in time, and no further lookup begins until the first one has ended', async () => {
    const names = useNameServer();
    names.answer = new Promise(() => undefined);
    await using consumer = await startHttpConsumer();
    const transport = createHttpTransport(new URL(`http://${NAME}:${consumer.url.port}/`), undefined, 50);
    for (let round = 0; round < 3; round++) {
      const deliveries = await Promise.all(Array.from({ length: 32 }, () => transport.deliver(MESSAGE)));
      expect(new Set(deliveries.map(({ outcome }) => outcome))).toEqual(new Set(['unanswered']));
    }
    transport.close();
    expect(names.lookups).toBe(1);
    expect(consumer.received).toEqual([]);
  });

  it('may be unknown for a while: the next delivery after that looks it up again', async () => {
    const names = useNameServer();
    names.addresses = [];
    await using consumer = await startHttpConsumer();
    const transport = createHttpTransport(new URL(`http://${NAME}:${consumer.url.port}/`), undefined);
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'unreachable' });
    names.addresses = ['127.0.0.1'];
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
    transport.close();
    expect(names.lookups).toBe(2);
  });
});
