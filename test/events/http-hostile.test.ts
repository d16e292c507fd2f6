import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { createHttpTransport } from '../../src/events/transports/http.ts';
import { DELIVERY_TIMEOUT_MS } from '../../src/events/transports/transport.ts';
import { createAuthority, selfSigned } from '../harness/certificates.ts';
import { endlessServer } from '../harness/endless-server.ts';
import { deliverOnce, SHORT_MS, TOKEN } from './deliver-once.ts';
import { startHttpConsumer, startRawConsumer } from './http-consumer.ts';

/** @param timeoutMs by default as long as in the service, because a busy machine also delays deliveries that are answered */
function deliverTo(url: URL | string, timeoutMs = DELIVERY_TIMEOUT_MS) {
  return deliverOnce(createHttpTransport(new URL(url), TOKEN, timeoutMs));
}

describe('a consumer over HTTP', () => {
  it('that refuses connections is unreachable', async () => {
    const consumer = await startRawConsumer(() => undefined);
    await consumer[Symbol.asyncDispose]();
    expect(await deliverTo(consumer.url)).toMatchObject({
      outcome: 'unreachable',
      reason: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('whose name does not exist is unreachable', async () => {
    expect(await deliverTo('http://consumer.invalid/')).toMatchObject({ outcome: 'unreachable' });
  });

  it('that accepts and never answers is given up at the time-out, with its connection', async () => {
    await using consumer = await startRawConsumer(() => undefined);
    const delivery = await deliverTo(consumer.url, SHORT_MS);
    expect(delivery).toMatchObject({ outcome: 'unanswered', reason: 'no answer in time' });
    expect(delivery.tookMs).toBeLessThan(SHORT_MS + 3_000);
    await expect.poll(() => consumer.sockets.size).toBe(0);
  });

  it('that sends one byte of its headers at a time is given up at the time-out', async () => {
    await using consumer = await startRawConsumer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx: ');
      const timer = setInterval(() => socket.write('x'), 20);
      socket.on('close', () => clearInterval(timer));
    });
    expect(await deliverTo(consumer.url, SHORT_MS)).toMatchObject({ outcome: 'unanswered' });
  });

  it('that sends a few interim answers first has acknowledged', async () => {
    await using consumer = await startRawConsumer((socket) =>
      socket.write(
        `${'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'.repeat(16)}HTTP/1.1 204 No Content\r\n\r\n`,
      ),
    );
    expect(await deliverTo(consumer.url)).toMatchObject({ outcome: 'delivered' });
  });

  it.each(['100 Continue', '102 Processing', '103 Early Hints'])(
    'that sends %s without end is cut off after some of them',
    async (status) => {
      await using consumer = await startRawConsumer((socket) => {
        const timer = setInterval(() => socket.write(`HTTP/1.1 ${status}\r\n\r\n`), 1);
        socket.on('close', () => clearInterval(timer));
      });
      const delivery = await deliverTo(consumer.url);
      expect(delivery).toMatchObject({ outcome: 'refused', reason: expect.stringContaining('1xx') });
      expect(delivery.tookMs).toBeLessThan(4_000);
    },
  );

  it.each([
    ['resets the connection', ''],
    ['resets within the headers', 'HTTP/1.1 200 OK\r\ncontent-'],
  ])('that %s is unreachable', async (_, text) => {
    await using consumer = await startRawConsumer((socket) => {
      socket.write(text, () => setTimeout(() => socket.resetAndDestroy(), 20));
    });
    expect(await deliverTo(consumer.url)).toMatchObject({ outcome: 'unreachable' });
  });

  it('that switches the protocol has acknowledged nothing', async () => {
    await using consumer = await startRawConsumer((socket) =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    );
    expect((await deliverTo(consumer.url)).outcome).not.toBe('delivered');
  });

  it.each([
    ['garbage', '\u0000\u0001 no HTTP at all\r\n\r\n'],
    ['headers of 1 MB', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(1024 * 1024)}\r\n\r\n`],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
  ])('that answers with %s refuses the event', async (_, text) => {
    await using consumer = await startRawConsumer((socket) => socket.write(text));
    expect(await deliverTo(consumer.url)).toMatchObject({
      outcome: 'refused',
      reason: expect.stringContaining('HPE_'),
    });
  });

  it('that acknowledges with garbage, or with a body that breaks, has acknowledged', async () => {
    await using garbage = await startHttpConsumer((_, response) => response.end('{"\u0000<html>'));
    expect(await deliverTo(garbage.url)).toMatchObject({ outcome: 'delivered' });
    await using broken = await startRawConsumer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nab');
      setTimeout(() => socket.resetAndDestroy(), 20);
    });
    expect(await deliverTo(broken.url)).toMatchObject({ outcome: 'delivered' });
  });

  it('that sends a body without end has acknowledged, and its connection is closed after a second', async () => {
    await using consumer = await endlessServer(200, 'application/json');
    const delivery = await deliverTo(consumer.url);
    expect(delivery.outcome).toBe('delivered');
    expect(delivery.tookMs).toBeGreaterThan(900);
    expect(delivery.tookMs).toBeLessThan(4_000);
  });

  it('that never ends a short body has acknowledged, and its connection is closed after a second', async () => {
    await using consumer = await startHttpConsumer((_, response) => response.write('a'));
    const delivery = await deliverTo(consumer.url);
    expect(delivery.outcome).toBe('delivered');
    expect(delivery.tookMs).toBeLessThan(4_000);
  });
});

describe('a consumer over HTTPS', () => {
  async function startTlsConsumer(pair: { cert: string; key: string }) {
    const headers: unknown[] = [];
    const server = createServer(pair, (request, response) => {
      headers.push(request.headers);
      response.end();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return {
      headers,
      url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      async [Symbol.asyncDispose](): Promise<void> {
        server.closeAllConnections();
        server.close();
      },
    };
  }

  it('with a certificate of no known authority is unreachable and gets no token', async () => {
    const authority = await createAuthority();
    for (const pair of [
      await authority.issue({ names: ['127.0.0.1'], use: 'server' }),
      await selfSigned({ names: ['127.0.0.1'], use: 'server' }),
    ]) {
      await using consumer = await startTlsConsumer(pair);
      expect(await deliverTo(consumer.url)).toMatchObject({
        outcome: 'unreachable',
        reason: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/),
      });
      expect(consumer.headers).toEqual([]);
    }
  });

  it('with a certificate of a known authority gets the event, but not under another name', async () => {
    const authority = await createAuthority();
    const usual = getCACertificates('default');
    setDefaultCACertificates([...usual, authority.cert]);
    try {
      await using consumer = await startTlsConsumer(
        await authority.issue({ names: ['127.0.0.1'], use: 'server' }),
      );
      expect(await deliverTo(consumer.url)).toMatchObject({ outcome: 'delivered' });
      // The error of Node lists all addresses of the certificate.
      const names = Array.from({ length: 200 }, (_, n) => `10.0.0.${n}`);
      await using other = await startTlsConsumer(await authority.issue({ names, use: 'server' }));
      const refused = await deliverTo(other.url);
      expect(refused).toMatchObject({
        outcome: 'unreachable',
        reason: expect.stringContaining('10.0.0.0'),
      });
      expect(refused.reason.length).toBeLessThan(300);
      expect(other.headers).toEqual([]);
    } finally {
      setDefaultCACertificates(usual);
    }
  });
});
