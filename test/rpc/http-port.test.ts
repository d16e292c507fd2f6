import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, createClient } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';
import { ListFilesRequestSchema, ListFilesResponseSchema } from '../../gen/files/v1/file_service_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/health/v1/health_pb.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';
import { callOver, WIRES } from '../harness/wire.ts';
import { envelope } from '../resilience/http2-frames.ts';

const service = forAllTests(() => startTestService());

it('`application/grpc-web-text` sends and receives base64', async () => {
  const user = newUser();
  await service.as(user).createPresignedUpload({ filename: 'a', mimeType: 'a/b', md5: '0'.repeat(32) });
  const wire = WIRES.find(({ contentType }) => contentType.includes('text'));
  if (wire === undefined) throw new Error('no such protocol');
  const request = toBinary(ListFilesRequestSchema, {
    $typeName: 'files.v1.ListFilesRequest',
    pageSize: 1,
    pageToken: '',
    filenamePrefix: '',
  });
  const { headers, body } = await callOver(service, wire, 'ListFiles', wire.body(request), {
    'x-user-id': user,
  });
  expect(headers[':status']).toBe(200);
  expect(headers['content-type']).toBe('application/grpc-web-text+proto');
  // Each chunk ends with its own padding.
  const chunks = body.toString().match(/[^=]+=*/g) ?? [];
  const plain = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk, 'base64')));
  const end = 5 + plain.readUInt32BE(1);
  expect(fromBinary(ListFilesResponseSchema, plain.subarray(5, end)).files).toEqual([]);
  expect(plain.subarray(end)).toEqual(envelope(Buffer.from('grpc-status: 0\r\n'), 0x80));
});

describe.each([
  ['gRPC', () => createGrpcTransport({ baseUrl: service.httpUrl })],
  ['gRPC-Web', () => createGrpcWebTransport({ baseUrl: service.httpUrl, httpVersion: '1.1' })],
  ['Connect', () => createConnectTransport({ baseUrl: service.httpUrl, httpVersion: '1.1' })],
])('health on the HTTP port, over %s', (_, transport) => {
  it.each(['', 'files.v1.FileService'])('Check of "%s" answers SERVING', async (name) => {
    expect(await createClient(Health, transport()).check({ service: name })).toMatchObject({
      status: Status.SERVING,
    });
  });

  it('Check of an unknown service answers NOT_FOUND', async () => {
    const failure = failureOf(createClient(Health, transport()).check({ service: 'no.such.Service' }));
    expect(await failure).toMatchObject({ code: 'NotFound' });
  });

  it('List answers all services', async () => {
    const { statuses } = await createClient(Health, transport()).list({});
    expect(Object.keys(statuses).sort()).toEqual(['', 'files.v1.FileService']);
  });
});

it.each([
  ['gRPC', () => createGrpcTransport({ baseUrl: service.httpUrl })],
  ['gRPC-Web', () => createGrpcWebTransport({ baseUrl: service.httpUrl, httpVersion: '1.1' })],
  ['Connect binary', () => createConnectTransport({ baseUrl: service.httpUrl, httpVersion: '1.1' })],
  [
    'Connect JSON',
    () => createConnectTransport({ baseUrl: service.httpUrl, httpVersion: '2', useBinaryFormat: false }),
  ],
])(
  'Watch on the HTTP port answers UNIMPLEMENTED over %s, so that clients stop asking',
  async (_, transport) => {
    const watch = createClient(Health, transport()).watch({})[Symbol.asyncIterator]();
    await expect(watch.next()).rejects.toMatchObject({
      code: Code.Unimplemented,
      rawMessage: 'Watch is offered on the gRPC port only; use Check',
    });
  },
);

const RPC = '/files.v1.FileService/ListFiles';

function ask(method: string, path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpRequest(new URL(path, service.httpUrl), { method, headers }, resolve).on('error', reject).end();
  });
}

describe('methods of HTTP', () => {
  it.each([
    ['GET', RPC, 'POST'],
    ['OPTIONS', RPC, 'POST'],
    ['PUT', '/grpc.health.v1.Health/Check', 'POST'],
    ['DELETE', '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', 'POST'],
    ['POST', '/livez', 'GET, HEAD'],
    ['PUT', '/readyz', 'GET, HEAD'],
    ['OPTIONS', '/metrics', 'GET, HEAD'],
  ])('%s %s answers 405 with Allow: %s', async (method, path, allow) => {
    const { statusCode, headers } = await ask(method, path);
    expect([statusCode, headers.allow]).toEqual([405, allow]);
  });

  it.each([
    ['GET', {}, 405, { code: 'unimplemented', reason: 'UNIMPLEMENTED' }],
    ['POST', {}, 415, { code: 'invalid_argument', reason: 'INVALID_REQUEST' }],
    // curl sends this type if it is told no other.
    [
      'POST',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      { code: 'invalid_argument', reason: 'INVALID_REQUEST' },
    ],
  ])('%s with %j, which is no call, gets an ErrorInfo and %i', async (method, headers, status, expected) => {
    const answer = await ask(method, RPC, headers);
    const { code, details } = JSON.parse(await text(answer));
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([status, 'application/json']);
    expect({ code, ...details[0].debug }).toMatchObject({ ...expected, domain: 'files.v1' });
  });

  it('HEAD of a call and a path without a page say so', async () => {
    expect(await text(await ask('HEAD', RPC))).toBe('');
    expect(await text(await ask('GET', '/no'))).toBe('no page and no method has this path\n');
  });

  it('HEAD of a page answers its headers without a body', async () => {
    const answer = await ask('HEAD', '/livez');
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-length']).toBe('3');
    expect(await text(answer)).toBe('');
  });
});
