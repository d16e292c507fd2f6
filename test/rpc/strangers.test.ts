import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createHttp1AndHttp2Server } from '../../src/rpc/http/http1-and-http2.ts';
import {
  PIPELINED_REQUESTS_MAX,
  STRANGER_STREAMS_MAX,
  STRANGERS_FEW,
  STREAMS_PER_CONNECTION_MAX,
} from '../../src/rpc/limits/limits.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { waitFor } from '../harness/wait-for.ts';
import { FLAG, FRAME, frame, grpcHeaders, headerBlock, openRawHttp2 } from '../resilience/http2-frames.ts';

/** A port whose listener answers each request with 200. */
async function openPort() {
  const asked: string[] = [];
  const { server, destroyConnections } = createHttp1AndHttp2Server((request, response) => {
    asked.push(`${request.method} ${request.headers.expect ?? ''}`);
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    destroyConnections();
  });
  return { asked, port: (server.address() as AddressInfo).port };
}

describe('2,000 requests in one packet', () => {
  it.each([
    ['with a Host', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['without a Host, which Node itself refuses', 'GET / HTTP/1.1\r\n\r\n'],
    ['with an unknown expectation', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: b\r\n\r\n'],
  ])('%s make Node create only 16 requests, and close the connection', async (_, text) => {
    const { port } = await openPort();
    let created = 0;
    const count = () => {
      created++;
    };
    subscribe('http.server.request.start', count);
    onTestFinished(() => void unsubscribe('http.server.request.start', count));
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.resume().write(text.repeat(2_000));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(created).toBe(PIPELINED_REQUESTS_MAX);
  });
});

it('a CONNECT and an unknown expectation over HTTP/2 reach the listener, whose limits count them', async () => {
  const { asked, port } = await openPort();
  using raw = await openRawHttp2(port);
  const blocks = [
    headerBlock(Object.entries({ ':method': 'CONNECT', ':authority': 'a:1' })),
    headerBlock(
      Object.entries({ ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'a', expect: 'b' }),
    ),
  ];
  for (const [index, block] of blocks.entries())
    raw.socket.write(frame(FRAME.headers, FLAG.endHeaders, 2 * index + 1, block));
  await waitFor(() => expect(asked).toEqual(['CONNECT ', 'GET b']));
});

describe('of connections over HTTP/2 without an accepted call', () => {
  const service = forAllTests(() => startTestService());

  it.each(['grpcUrl', 'httpUrl'] as const)('only 4 may have more than 100 streams, on %s', async (url) => {
    const few = Array.from({ length: STRANGERS_FEW }, () => connectHttp2(service[url]));
    await Promise.all(few.map((session) => once(session, 'remoteSettings')));
    const further = connectHttp2(service[url]);
    onTestFinished(() => {
      for (const session of [...few, further]) session.destroy();
    });
    const streamsMax = ({ remoteSettings }: ClientHttp2Session) => remoteSettings?.maxConcurrentStreams;
    await waitFor(() => expect(streamsMax(further)).toBe(STRANGER_STREAMS_MAX));
    expect(few.map(streamsMax)).toEqual(few.map(() => STREAMS_PER_CONNECTION_MAX));

    // The gate accepts the call by its headers alone.
    const call = Object.fromEntries(grpcHeaders('/files.v1.FileService/ListFiles'));
    further.request(call, { endStream: false }).on('error', () => {});
    await waitFor(() => expect(streamsMax(further)).toBe(STREAMS_PER_CONNECTION_MAX));
  });
});
