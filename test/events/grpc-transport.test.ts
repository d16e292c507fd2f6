import dns from 'node:dns';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { ServerCredentials, status } from '@grpc/grpc-js';
import { describe, expect, it, vi } from 'vitest';
import { createGrpcTransport } from '../../src/events/transports/grpc.ts';
import { DELIVERY_TIMEOUT_MS } from '../../src/events/transports/transport.ts';
import { createAuthority } from '../harness/certificates.ts';
import { deliverOverGrpc, MESSAGE, SHORT_MS, TOKEN } from './deliver-once.ts';
import { startGrpcConsumer, startHttp2Consumer } from './grpc-consumer.ts';
import { startHttpConsumer, startRawConsumer } from './http-consumer.ts';

/** Frames of HTTP/2: settings without entries, and GOAWAY without an error, after stream 0. */
const SETTINGS = Buffer.from('000000040000000000', 'hex');
const GOAWAY = Buffer.from('0000080700000000000000000000000000', 'hex');

describe('a delivery over gRPC', () => {
  it('is a call with the token and a deadline, over one connection', async () => {
    await using consumer = await startGrpcConsumer();
    const transport = createGrpcTransport(consumer.url, TOKEN);
    const startMs = Date.now();
    for (let n = 0; n < 5; n++) {
      expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
    }
    transport.close();
    expect(consumer.received.map(({ message }) => message)).toEqual(Array(5).fill(MESSAGE));
    for (const { metadata, deadlineMs } of consumer.received) {
      expect(metadata.get('authorization')).toEqual([`Bearer ${TOKEN}`]);
      expect(deadlineMs).toBeGreaterThan(startMs + DELIVERY_TIMEOUT_MS - 100);
      expect(deadlineMs).toBeLessThan(Date.now() + DELIVERY_TIMEOUT_MS + 100);
    }
  });

  it('carries no authorization without EVENTS_TOKEN', async () => {
    await using consumer = await startGrpcConsumer();
    const transport = createGrpcTransport(consumer.url, undefined);
    await transport.deliver(MESSAGE);
    transport.close();
    expect(consumer.received[0]?.metadata.get('authorization')).toEqual([]);
  });

  const FAILURES = Object.values(status).filter((code) => typeof code === 'number' && code !== status.OK);
  it.each(FAILURES.map((code) => [status[code as status], code as status] as const))(
    'with the status %s has failed, and the reason has no token',
    async (name, code) => {
      await using consumer = await startGrpcConsumer((_, done) =>
        done(code, `no: Bearer ${TOKEN}${'x'.repeat(5_000)}`),
      );
      const delivery = await deliverOverGrpc(consumer.url);
      const outcomes: Record<string, string> = {
        DEADLINE_EXCEEDED: 'unanswered',
        UNAVAILABLE: 'unreachable',
      };
      expect(delivery.outcome).toBe(outcomes[name] ?? 'refused');
      expect(delivery.reason).toContain(name);
      expect(delivery.reason).not.toContain(TOKEN);
      expect(delivery.reason.length).toBeLessThan(300);
    },
  );

  it('is acknowledged by OK with bytes that are no message', async () => {
    const garbage = Buffer.from('\u0000\u00ff<html>');
    await using consumer = await startGrpcConsumer(undefined, 0, undefined, garbage);
    expect(await deliverOverGrpc(consumer.url)).toMatchObject({ outcome: 'delivered' });
  });

  it('is acknowledged by OK without a message', async () => {
    await using consumer = await startHttp2Consumer((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end();
    });
    expect(await deliverOverGrpc(consumer.url)).toMatchObject({ outcome: 'delivered' });
  });

  it('reads no answer that is larger than 64 KiB', async () => {
    await using consumer = await startGrpcConsumer(undefined, 0, undefined, Buffer.alloc(70_000));
    expect(await deliverOverGrpc(consumer.url)).toMatchObject({
      outcome: 'refused',
      reason: expect.stringContaining('RESOURCE_EXHAUSTED'),
    });
  });
});

describe('a consumer over gRPC', () => {
  it('that refuses connections is unreachable, at once', async () => {
    const consumer = await startRawConsumer(() => undefined);
    await consumer[Symbol.asyncDispose]();
    const delivery = await deliverOverGrpc(new URL(`grpc://${consumer.url.host}`));
    expect(delivery).toMatchObject({
      outcome: 'unreachable',
      reason: expect.stringContaining('ECONNREFUSED'),
    });
    // Without waiting for the time-out of 5 s.
    expect(delivery.tookMs).toBeLessThan(4_000);
  });

  it('whose name does not exist is unreachable', async () => {
    expect(await deliverOverGrpc(new URL('grpc://consumer.invalid:1'))).toMatchObject({
      outcome: 'unreachable',
    });
  });

  it('that accepts the connection and says nothing does not answer', async () => {
    const server = createServer(() => undefined);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    expect(await deliverOverGrpc(new URL(`grpc://127.0.0.1:${port}`), SHORT_MS)).toMatchObject({
      outcome: 'unanswered',
    });
    server.close();
  });

  it('that takes the call and never answers does not answer', async () => {
    await using consumer = await startGrpcConsumer(() => undefined);
    const delivery = await deliverOverGrpc(consumer.url, SHORT_MS);
    expect(delivery.outcome).toBe('unanswered');
    expect(delivery.tookMs).toBeLessThan(SHORT_MS + 3_000);
  });

  it('that sends a message without end is cut off', async () => {
    await using consumer = await startHttp2Consumer((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      const part = Buffer.alloc(64 * 1024);
      const more = () => {
        while (!stream.destroyed && stream.write(part));
      };
      stream.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]));
      stream.on('drain', more);
      more();
    });
    expect((await deliverOverGrpc(consumer.url)).outcome).toBe('refused');
  });

  it('that resets the stream or the connection has acknowledged nothing', async () => {
    await using stream = await startHttp2Consumer((call) => call.close(2));
    expect((await deliverOverGrpc(stream.url)).outcome).not.toBe('delivered');
    await using connection = await startHttp2Consumer((call) => call.session?.destroy());
    expect((await deliverOverGrpc(connection.url)).outcome).not.toBe('delivered');
  });

  it.each([
    ['closes each connection after its settings', SETTINGS],
    ['sends GOAWAY on each connection', Buffer.concat([SETTINGS, GOAWAY])],
  ])('that %s is not connected to more than 10 times a second', async (_, bytes) => {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.on('error', () => undefined).resume();
      setImmediate(() => socket.end(bytes));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const url = new URL(`grpc://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const transport = createGrpcTransport(url, TOKEN);
    expect((await transport.deliver(MESSAGE)).outcome).toBe('unreachable');
    const before = connections;
    const startMs = performance.now();
    await sleep(1_000);
    expect(connections - before).toBeLessThan((performance.now() - startMs) / 100 + 3);
    // The channel has not given up: it connects again, so that the next event finds a connection.
    await expect.poll(() => connections - before).toBeGreaterThan(3);
    transport.close();
    server.close();
  });

  it('that speaks HTTP/1.1 has acknowledged nothing', async () => {
    await using consumer = await startHttpConsumer();
    expect((await deliverOverGrpc(new URL(`grpc://${consumer.url.host}`), 1_000)).outcome).not.toBe(
      'delivered',
    );
  });

  it('that comes back gets the next event, although the channel had failed', async () => {
    const consumer = await startGrpcConsumer();
    const { port, url } = consumer;
    const transport = createGrpcTransport(url, TOKEN, 1_000);
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
    await consumer[Symbol.asyncDispose]();
    for (let n = 0; n < 12; n++) {
      expect((await transport.deliver(MESSAGE)).outcome).toBe('unreachable');
      await sleep(50);
    }
    await using again = await startGrpcConsumer(undefined, port);
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
    transport.close();
    expect(again.received.length).toBe(1);
  });

  it('whose connection is silent is reached over a new connection', async () => {
    let isSilent = true;
    let connections = 0;
    await using consumer = await startGrpcConsumer();
    // The first connections pass nothing on, as after a router has forgotten them.
    const server = createServer((socket) => {
      connections++;
      socket.on('error', () => undefined);
      if (isSilent) return;
      const onward = connect(consumer.port, '127.0.0.1').on('error', () => undefined);
      socket.pipe(onward).pipe(socket);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const transport = createGrpcTransport(new URL(`grpc://127.0.0.1:${port}`), TOKEN, 1_000);
    for (let n = 0; n < 3; n++) expect((await transport.deliver(MESSAGE)).outcome).toBe('unanswered');
    isSilent = false;
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
    expect(connections).toBe(2);
    transport.close();
    server.close();
  });

  it('with several addresses gets events at all of them, also after one has gone', async () => {
    const first = await startGrpcConsumer();
    await using second = await startGrpcConsumer(undefined, first.port, undefined, undefined, '127.0.0.2');
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    const lookup = vi.spyOn(dns.promises, 'lookup').mockResolvedValue(addresses as never);
    const transport = createGrpcTransport(new URL(`grpc://consumer.internal:${first.port}`), TOKEN);
    try {
      await expect
        .poll(async () => {
          await transport.deliver(MESSAGE);
          return Math.min(first.received.length, second.received.length);
        })
        .toBeGreaterThan(3);
      await first[Symbol.asyncDispose]();
      await sleep(100);
      for (let n = 0; n < 10; n++) {
        expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
      }
    } finally {
      transport.close();
      lookup.mockRestore();
    }
  });

  it('is reached at an IPv6 address', async () => {
    await using consumer = await startGrpcConsumer(undefined, 0, undefined, undefined, '[::1]');
    expect(await deliverOverGrpc(consumer.url)).toMatchObject({ outcome: 'delivered' });
  });
});

describe('a consumer over gRPC with TLS', () => {
  it('gets events with a certificate of a known authority only', async () => {
    const authority = await createAuthority();
    const pair = await authority.issue({ names: ['127.0.0.1'], use: 'server' });
    const security = ServerCredentials.createSsl(null, [
      { cert_chain: Buffer.from(pair.cert), private_key: Buffer.from(pair.key) },
    ]);
    await using consumer = await startGrpcConsumer(undefined, 0, security);
    const url = new URL(`grpcs://127.0.0.1:${consumer.port}`);
    expect(await deliverOverGrpc(url)).toMatchObject({ outcome: 'unreachable' });
    expect(consumer.received).toEqual([]);
    const usual = getCACertificates('default');
    setDefaultCACertificates([...usual, authority.cert]);
    try {
      expect(await deliverOverGrpc(url)).toMatchObject({ outcome: 'delivered' });
    } finally {
      setDefaultCACertificates(usual);
    }
  });
});
