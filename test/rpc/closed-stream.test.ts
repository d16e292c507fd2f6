import { once } from 'node:events';
import { connect, type Http2ServerRequest, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { ServiceImpl } from '@connectrpc/connect';
import { expect, it, onTestFinished } from 'vitest';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { createSharedCapacity } from '../../src/overload/shared-capacity.ts';
import type { AdmittedCall } from '../../src/rpc/admitted-call.ts';
import { createGrpcServer } from '../../src/rpc/grpc/server.ts';
import { createHealth } from '../../src/rpc/health.ts';
import { createHttp1AndHttp2Server } from '../../src/rpc/http/http1-and-http2.ts';
import { createDecodeTurns } from '../../src/rpc/limits/decode-turns.ts';
import { MESSAGE_PREFIX_BYTES, MESSAGES_MAX_BYTES } from '../../src/rpc/limits/message-limits.ts';

it('the stream of a call that has ended holds no listeners but the one that ignores errors', async () => {
  const streams: ServerHttp2Stream[] = [];
  const server = createGrpcServer({
    takeDecodeTurn: createDecodeTurns(),
    fileService: { deleteFile: async () => ({}) } as unknown as ServiceImpl<typeof FileService>,
    gate: {
      admit({ caller, stream }) {
        streams.push(stream as ServerHttp2Stream);
        return { caller, userId: 'u' } as AdmittedCall;
      },
    },
    budget: createSharedCapacity(MESSAGES_MAX_BYTES),
    health: createHealth(),
  });
  onTestFinished(() => server.stop(0));
  const client = connect(`http://127.0.0.1:${await server.listen('127.0.0.1', 0)}`);
  onTestFinished(() => client.destroy());
  const path = '/files.v1.FileService/DeleteFile';
  const call = client.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' });
  call.resume().end(Buffer.alloc(MESSAGE_PREFIX_BYTES));
  await once(call, 'close');
  await expect.poll(() => streams.map((stream) => stream.eventNames())).toEqual([['error']]);
});

it('the stream of an ended request on the HTTP port holds no listeners but the one that ignores errors', async () => {
  const streams: ServerHttp2Stream[] = [];
  const { server, destroyConnections } = createHttp1AndHttp2Server((request, response) => {
    streams.push((request as unknown as Http2ServerRequest).stream);
    response.end();
  });
  onTestFinished(() => void server.close());
  onTestFinished(destroyConnections);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => client.destroy());
  const request = client.request({ ':path': '/' });
  await once(request.resume(), 'close');
  await expect.poll(() => streams.map((stream) => stream.eventNames())).toEqual([['error']]);
});
