import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { ServerCredentials } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { createGrpcTransport } from '../../src/events/transports/grpc.ts';
import { createAuthority } from '../harness/certificates.ts';
import { deliverOverGrpc, MESSAGE, SHORT_MS, TOKEN } from './deliver-once.ts';
import { startGrpcConsumer, startHttp2Consumer } from './grpc-consumer.ts';

const ANSWER = { ':status': 200, 'content-type': 'application/grpc' };

const descriptors = () => readdirSync('/dev/fd').length;

describe('a hostile consumer over gRPC', () => {
  it('that sends headers and never ends its answer does not answer', async () => {
    await using consumer = await startHttp2Consumer((stream) => stream.respond(ANSWER));
    expect(await deliverOverGrpc(consumer.url, SHORT_MS)).toMatchObject({ outcome: 'unanswered' });
  });

  it('that sends a message and never the status does not answer', async () => {
    await using consumer = await startHttp2Consumer((stream) => {
      stream.respond(ANSWER);
      stream.write(Buffer.alloc(5));
    });
    expect(await deliverOverGrpc(consumer.url, SHORT_MS)).toMatchObject({ outcome: 'unanswered' });
  });

  it('that takes no byte of the message does not answer, and all calls share one connection', async () => {
    await using consumer = await startHttp2Consumer(() => undefined, { initialWindowSize: 0 });
    const transport = createGrpcTransport(consumer.url, TOKEN, 500);
    const deliveries = await Promise.all(Array.from({ length: 32 }, () => transport.deliver(MESSAGE)));
    expect(new Set(deliveries.map(({ outcome }) => outcome))).toEqual(new Set(['unanswered']));
    expect(consumer.sessions.size).toBe(1);
    transport.close();
  });

  it('whose compressed message has 64 MB when it is decompressed is cut off without its memory', async () => {
    const bomb = gzipSync(Buffer.alloc(60e6));
    const header = Buffer.from([1, 0, 0, 0, 0]);
    header.writeUInt32BE(bomb.length, 1);
    await using consumer = await startHttp2Consumer((stream) => {
      stream.respond({ ...ANSWER, 'grpc-encoding': 'gzip' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.concat([header, bomb]));
    });
    const before = process.memoryUsage.rss();
    const transport = createGrpcTransport(consumer.url, TOKEN, 5_000);
    const deliveries = await Promise.all(Array.from({ length: 32 }, () => transport.deliver(MESSAGE)));
    transport.close();
    expect(new Set(deliveries.map(({ outcome }) => outcome))).toEqual(new Set(['refused']));
    expect(process.memoryUsage.rss() - before).toBeLessThan(100e6);
  });
});

describe('the connections to a consumer over gRPC', () => {
  it('are closed after GOAWAY, also if the consumer does not close them', async () => {
    let calls = 0;
    const before = descriptors();
    await using consumer = await startHttp2Consumer((stream) => {
      stream.respond(ANSWER, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end();
      if (calls++ % 5 === 0) stream.session?.goaway(0);
    });
    const transport = createGrpcTransport(consumer.url, TOKEN, 2_000);
    for (let n = 0; n < 50; n++) await transport.deliver(MESSAGE);
    // The consumer has one for each connection, and the service must have only that of the last one.
    const ours = () => descriptors() - before - consumer.sessions.size;
    await expect.poll(ours).toBeLessThan(4);
    expect(consumer.sessions.size).toBeGreaterThan(5);
    transport.close();
  });

  it.each(['grpc', 'grpcs'])(
    '%s: are closed if the consumer accepts them and never speaks',
    async (protocol) => {
      const sockets = new Set<Socket>();
      let connections = 0;
      const before = descriptors();
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        connections++;
        sockets.add(socket);
        socket.on('error', () => undefined).resume();
        socket.on('close', () => sockets.delete(socket));
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const { port } = server.address() as AddressInfo;
      const transport = createGrpcTransport(new URL(`${protocol}://127.0.0.1:${port}`), TOKEN, 50);
      for (let n = 0; n < 20; n++) {
        expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'unanswered' });
      }
      expect(connections).toBeGreaterThan(5);
      // The listening socket stays, and so may the connection of the newest channel.
      const ours = () => descriptors() - before - sockets.size;
      await expect.poll(ours).toBeLessThan(4);
      transport.close();
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  );
});

describe.each([
  ['of another name', { names: ['other.example.com'] }, 'IP: 127.0.0.1 is not in the cert'],
  ['that has expired', { names: ['127.0.0.1'], validMs: -1 }, 'certificate has expired'],
])('a consumer over gRPC with a certificate %s', (_, leaf, problem) => {
  it('is unreachable and gets no call, and the reason says why', async () => {
    const authority = await createAuthority();
    const pair = await authority.issue({ use: 'server', ...leaf });
    const security = ServerCredentials.createSsl(null, [
      { cert_chain: Buffer.from(pair.cert), private_key: Buffer.from(pair.key) },
    ]);
    await using consumer = await startGrpcConsumer(undefined, 0, security);
    const usual = getCACertificates('default');
    setDefaultCACertificates([...usual, authority.cert]);
    try {
      expect(await deliverOverGrpc(new URL(`grpcs://127.0.0.1:${consumer.port}`))).toMatchObject({
        outcome: 'unreachable',
        reason: expect.stringContaining(problem),
      });
      expect(consumer.received).toEqual([]);
    } finally {
      setDefaultCACertificates(usual);
    }
  });
});
