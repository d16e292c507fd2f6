import { once } from 'node:events';
import { connect, createServer, type Http2Server } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { queryObjects } from 'node:v8';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { expect, it } from 'vitest';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { createHttp1AndHttp2Server } from '../../src/rpc/http/http1-and-http2.ts';
import { startTestService } from '../harness/service.ts';

async function urlOf(server: Server | Http2Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Opens connections, makes a call on each, and closes them. */
async function visit(url: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const session = connect(url).on('error', () => {});
    const call = session.request({ ':path': '/' }).on('error', () => {});
    call.resume();
    await once(call, 'close');
    const closed = once(session, 'close');
    session.destroy();
    await closed;
  }
}

it('closed HTTP/2 connections are released from memory', async () => {
  const plain = createServer();
  let aSession: object = {};
  plain.once('session', (session) => {
    aSession = session;
  });
  plain.on('stream', (stream) => stream.respond({}, { endStream: true }));
  await visit(await urlOf(plain), 1);
  plain.close();
  const held = () => queryObjects(aSession.constructor as new () => object, { format: 'count' });

  const { server, destroyConnections } = createHttp1AndHttp2Server((_, response) => response.end());
  const url = await urlOf(server);
  await visit(url, 1);
  const before = held();
  await visit(url, 20);
  // The server may not have seen the end of a few connections, and a few sessions may not have been collected yet.
  await expect.poll(held).toBeLessThan(Number(before) + 5);
  server.close();
  destroyConnections();
});

it.each([
  ['Connect', (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: '2' })],
  ['gRPC', (baseUrl: string) => createGrpcTransport({ baseUrl })],
])('the HTTP port answers %s over HTTP/2 without TLS', async (_, transportTo) => {
  await using service = await startTestService();
  const files = createClient(FileService, transportTo(service.httpUrl));
  const answer = await files.listFiles({}, { headers: { 'x-user-id': 'ada' } });
  expect(answer.files).toEqual([]);
});
