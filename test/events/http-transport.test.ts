import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fromJsonString } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
  FileEventsService,
} from '../../gen/files/v1/file_events_service_pb.ts';
import { eventToProto } from '../../src/events/event-message.ts';
import { createHttpTransport } from '../../src/events/transports/http.ts';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { startHttpConsumer, startRawConsumer } from './http-consumer.ts';
import { sampleEvent } from './sample.ts';

const TOKEN = 'a-token-of-the-consumer';
const MESSAGE = eventToProto(sampleEvent());

describe('a delivery over HTTP', () => {
  it('is one POST to the URL as given, a Connect call and a CloudEvent at once', async () => {
    await using consumer = await startHttpConsumer();
    const url = new URL(`${consumer.url}/in%2Fbox?tenant=a%20b`);
    const transport = createHttpTransport(url, TOKEN);
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
    transport.close();
    const [{ method, url: path, headers, body } = expect.fail('no request')] = consumer.received;
    expect([method, path]).toEqual(['POST', '/events/in%2Fbox?tenant=a%20b']);
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(body.length),
      'connect-protocol-version': '1',
      'connect-timeout-ms': '5000',
      authorization: `Bearer ${TOKEN}`,
      'ce-specversion': '1.0',
      'ce-id': `alice_report.pdf:${sampleEvent().revision}`,
      'ce-type': 'files.v1.FileEvent.ready',
      'ce-source': '/files.v1.FileService',
      'ce-subject': 'alice_report.pdf',
      'ce-time': '2026-11-27T04:00:01.123Z',
    });
    expect(fromJsonString(DeliverFileEventRequestSchema, body.toString())).toEqual(MESSAGE);
  });

  it('carries no authorization without EVENTS_TOKEN', async () => {
    await using consumer = await startHttpConsumer();
    const transport = createHttpTransport(consumer.url, undefined);
    await transport.deliver(MESSAGE);
    transport.close();
    expect(consumer.received[0]?.headers).not.toHaveProperty('authorization');
  });

  it('keeps names that are not ASCII, as UTF-8', async () => {
    await using consumer = await startHttpConsumer();
    const transport = createHttpTransport(consumer.url, TOKEN);
    const { file } = sampleEvent();
    const filename = 'Prüfbericht \u2028 日本 \u{1f600} "quoted"\\.pdf';
    await transport.deliver(eventToProto(sampleEvent({ file: { ...file, filename } })));
    transport.close();
    const [{ body, headers } = expect.fail('no request')] = consumer.received;
    expect(headers['content-length']).toBe(String(body.length));
    const { file: received } = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    expect(received.filename).toBe(filename);
  });

  it('sends legal headers for every key and user id', async () => {
    await using consumer = await startHttpConsumer();
    const transport = createHttpTransport(consumer.url, TOKEN);
    const visible = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i))
      .join('')
      .replace(',', '');
    const keys = [
      s3Key(visible, 'a.txt'),
      s3Key('x'.repeat(255), '日本.txt'),
      // The service makes no such key. Another program could write it into the table.
      'alice_naïve 100%"\r\nx-forged: 1\u{1f600}.txt' as ReturnType<typeof s3Key>,
    ];
    for (const key of keys) {
      const event = sampleEvent({ s3Key: key, userId: visible });
      expect(await transport.deliver(eventToProto(event))).toMatchObject({ outcome: 'delivered' });
    }
    transport.close();
    const subjects = consumer.received.map(({ headers }) => String(headers['ce-subject']));
    expect(subjects.map((subject) => decodeURIComponent(subject))).toEqual(keys);
    expect(subjects.every((subject) => /^[\x21\x23-\x7e]+$/.test(subject))).toBe(true);
    expect(consumer.received.some(({ headers }) => 'x-forged' in headers)).toBe(false);
  });

  it.each([200, 201, 202, 204, 299])('is acknowledged by the status %i', async (status) => {
    await using consumer = await startHttpConsumer((_, response) => response.writeHead(status).end());
    const transport = createHttpTransport(consumer.url, TOKEN);
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
    transport.close();
  });

  it.each([300, 304, 400, 401, 404, 409, 429, 500, 502, 503, 599])(
    'is refused by the status %i, and the reason names the status',
    async (status) => {
      await using consumer = await startHttpConsumer((_, response) => response.writeHead(status).end(TOKEN));
      const transport = createHttpTransport(consumer.url, TOKEN);
      expect(await transport.deliver(MESSAGE)).toMatchObject({
        outcome: 'refused',
        reason: `HTTP status ${status}`,
      });
      transport.close();
    },
  );

  it.each([301, 302, 303, 307, 308])(
    'follows no redirect with %i, so no other host gets the token',
    async (status) => {
      await using other = await startHttpConsumer();
      await using consumer = await startHttpConsumer((_, response) =>
        response.writeHead(status, { location: other.url.href }).end(),
      );
      const transport = createHttpTransport(consumer.url, TOKEN);
      expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'refused' });
      transport.close();
      expect([consumer.received.length, other.received.length]).toEqual([1, 0]);
    },
  );

  it('is taken by a generated Connect server, which gets the message and the deadline', async () => {
    const received: { message: DeliverFileEventRequest; timeoutMs: number | undefined }[] = [];
    const server = createServer(
      connectNodeAdapter({
        requireConnectProtocolHeader: true,
        routes: (router) =>
          router.service(FileEventsService, {
            deliverFileEvent(message, context) {
              received.push({ message, timeoutMs: context.timeoutMs() });
              if (received.length > 1) throw new ConnectError('not today', Code.FailedPrecondition);
              return {};
            },
          }),
      }),
    );
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const transport = createHttpTransport(
      new URL(`http://127.0.0.1:${port}/files.v1.FileEventsService/DeliverFileEvent`),
      TOKEN,
    );
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'refused', reason: 'HTTP status 400' });
    expect(received[0]?.message).toEqual(MESSAGE);
    expect(received[0]?.timeoutMs).toBeGreaterThan(4_000);
    transport.close();
    server.closeAllConnections();
    server.close();
  });
});

describe('the connections', () => {
  it('stay open between deliveries', async () => {
    await using consumer = await startHttpConsumer((_, response) => response.end('x'.repeat(60_000)));
    const transport = createHttpTransport(consumer.url, TOKEN);
    for (let n = 0; n < 20; n++) await transport.deliver(MESSAGE);
    transport.close();
    expect(consumer.connections).toBe(1);
  });

  it.each([200, 500])(
    'are at most one a second for each delivery if the answer %i has a megabyte',
    async (status) => {
      await using consumer = await startHttpConsumer((_, response) =>
        response.writeHead(status).end('x'.repeat(1_000_000)),
      );
      const transport = createHttpTransport(consumer.url, TOKEN);
      const begunMs = performance.now();
      for (let n = 0; n < 2; n++) {
        const outcome = status === 200 ? 'delivered' : 'refused';
        expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome });
      }
      expect(performance.now() - begunMs).toBeGreaterThan(1_900);
      expect(performance.now() - begunMs).toBeLessThan(5_000);
      transport.close();
      expect(consumer.connections).toBe(2);
    },
  );

  it('that the consumer closed while they were idle cost no delivery', async () => {
    await using consumer = await startHttpConsumer();
    const transport = createHttpTransport(consumer.url, TOKEN);
    for (let round = 0; round < 20; round++) {
      const deliveries = await Promise.all(Array.from({ length: 8 }, () => transport.deliver(MESSAGE)));
      expect(deliveries.every(({ outcome }) => outcome === 'delivered')).toBe(true);
      // The next deliveries are sent before the transport has seen that the connections are closed.
      consumer.server.closeIdleConnections();
    }
    transport.close();
  });

  it('that are reset instead of an answer are replaced once, and then the consumer counts as unreachable', async () => {
    await using consumer = await startRawConsumer((socket, requests) => {
      if (requests === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      else socket.resetAndDestroy();
    });
    const transport = createHttpTransport(consumer.url, TOKEN);
    expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
    expect(await transport.deliver(MESSAGE)).toMatchObject({
      outcome: 'unreachable',
      reason: expect.stringContaining('ECONNRESET'),
    });
    transport.close();
    expect(consumer.requests).toBe(3);
  });

  it('are closed after each answer of HTTP/1.0, and of HTTP/1.1 with `Connection: close`', async () => {
    const answers = [
      'HTTP/1.0 200 OK\r\n\r\nthanks',
      'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nthanks',
      'HTTP/1.0 500 No\r\n\r\n',
    ];
    await using consumer = await startRawConsumer((socket, requests) =>
      socket.end(answers[requests - 1] ?? ''),
    );
    const transport = createHttpTransport(consumer.url, TOKEN);
    const outcomes = [];
    for (const _ of answers) outcomes.push((await transport.deliver(MESSAGE)).outcome);
    transport.close();
    expect(outcomes).toEqual(['delivered', 'delivered', 'refused']);
  });

  it.each([0, 20])(
    'with a second answer (after %i ms) are closed, so that it acknowledges no other event',
    async (laterMs) => {
      const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
      await using consumer = await startRawConsumer((socket, requests) => {
        if (requests > 1) return;
        socket.write(laterMs === 0 ? ok + ok : ok);
        if (laterMs > 0) setTimeout(() => socket.write(ok), laterMs);
      });
      const transport = createHttpTransport(consumer.url, TOKEN, 300);
      expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
      await expect.poll(() => consumer.sockets.size).toBe(0);
      expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'unanswered' });
      transport.close();
      expect(consumer.requests).toBe(2);
    },
  );
});
