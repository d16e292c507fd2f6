import { once } from 'node:events';
import {
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { fromBinary } from '@bufbuild/protobuf';
import { type handleUnaryCall, type Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
} from '../../gen/files/v1/file_events_service_pb.ts';

interface ReceivedCall {
  message: DeliverFileEventRequest;
  metadata: Metadata;
  deadlineMs: number;
}

export type AnswerCall = (call: ReceivedCall, answer: (code: status, details?: string) => void) => void;

/**
 * A consumer on a grpc-js server, which keeps what it receives.
 *
 * @param port 0 for any free port; otherwise a consumer that comes back
 */
export async function startGrpcConsumer(
  answer: AnswerCall = (_, done) => done(status.OK),
  port = 0,
  credentials = ServerCredentials.createInsecure(),
  response = Buffer.alloc(0),
  host = '127.0.0.1',
) {
  const received: ReceivedCall[] = [];
  const deliver: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
    const arrived = {
      message: fromBinary(DeliverFileEventRequestSchema, call.request),
      metadata: call.metadata,
      deadlineMs: Number(call.getDeadline()),
    };
    received.push(arrived);
    answer(arrived, (code, details = '') =>
      code === status.OK ? callback(null, response) : callback({ code, details }, null),
    );
  };
  const server = new Server();
  const bytes = (buffer: Buffer) => buffer;
  server.addService(
    {
      deliverFileEvent: {
        path: '/files.v1.FileEventsService/DeliverFileEvent',
        requestStream: false,
        responseStream: false,
        requestSerialize: bytes,
        requestDeserialize: bytes,
        responseSerialize: bytes,
        responseDeserialize: bytes,
      },
    },
    { deliverFileEvent: deliver },
  );
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${host}:${port}`, credentials, (error, found) =>
      error ? reject(error) : resolve(found),
    ),
  );
  return {
    received,
    port: bound,
    url: new URL(`grpc://${host}:${bound}`),
    async [Symbol.asyncDispose](): Promise<void> {
      server.forceShutdown();
    },
  };
}

/** A consumer on bare HTTP/2: `onStream` decides what is sent. */
export async function startHttp2Consumer(
  onStream: (stream: ServerHttp2Stream) => void,
  settings: Settings = {},
) {
  const server: Http2Server = createServer({ settings });
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => undefined);
  });
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.resume();
    onStream(stream);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    sessions,
    url: new URL(`grpc://127.0.0.1:${(server.address() as AddressInfo).port}`),
    async [Symbol.asyncDispose](): Promise<void> {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}
