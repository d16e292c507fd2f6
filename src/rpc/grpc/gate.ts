import {
  constants,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import type { AdmittedCall, CallGate } from '../call-gate.ts';
import { createCaller } from '../caller.ts';
import { toConnectError } from '../errors.ts';
import type { Connection, ConnectionLimit } from '../limits/connection-limit.ts';
import { type MessageBudget, messageMaxBytes } from '../limits/message-limits.ts';
import { limitUnprovenRequests } from '../limits/unproven-requests.ts';
import { takeTimeout } from '../timeout-headers.ts';
import { ACCEPTED_ENCODINGS, readGrpcMessage } from './message.ts';
import { trailersOnly } from './status.ts';

export interface GrpcGateOptions {
  /** Of every method that the server has, by its path. */
  methods: ReadonlyMap<string, DescMethod>;
  gate: CallGate;
  connections: ConnectionLimit;
  budget: MessageBudget;
  unprovenRequestsMax: number;
}

type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** On the stream itself: a WeakMap with an entry for each call costs the garbage collector more than all else here. */
const ADMITTED = Symbol('admitted call');

type GuardedStream = ServerHttp2Stream & { [ADMITTED]?: AdmittedCall };

/** The admitted call of a stream; none on methods that need no proof. */
export function admittedCallOn(stream: object | undefined): AdmittedCall | undefined {
  return (stream as GuardedStream | undefined)?.[ADMITTED];
}

const ignore = (): void => undefined;

/**
 * Stands before grpc-js. A call of a user goes through the gate by its headers; then its request is read as a whole,
 * and only then grpc-js is given the stream, the message and its end. By itself grpc-js inflates and decodes whatever
 * comes: 10 kB of half-open requests without proof took it to the end of its heap.
 *
 * grpc-js listens for a stream's `data` and `end` like anything else. If a release does not any more, no call is answered,
 * and every test over gRPC fails.
 */
export function guardGrpc(server: Http2Server, options: GrpcGateOptions): void {
  const { methods, gate, connections, budget, unprovenRequestsMax } = options;
  const grpcJs = server.listeners('stream') as OnStream[];
  server.removeAllListeners('stream');
  const pass: OnStream = (stream, headers) => {
    for (const listener of grpcJs) listener.call(server, stream, headers);
  };

  const sessions = new WeakMap<Http2Session, Connection>();
  server.on('session', (session) => {
    const connection = connections.of(session.socket);
    if (connection !== undefined) sessions.set(session, connection);
  });
  const noteUnproven = limitUnprovenRequests<ServerHttp2Stream>(unprovenRequestsMax, (stream) =>
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM),
  );

  /** @throws ConnectError */
  function admit(
    method: DescMethod,
    stream: GuardedStream,
    headers: IncomingHttpHeaders,
    timeoutMs: number | undefined,
  ): AdmittedCall {
    const { session } = stream;
    const connection = session && sessions.get(session);
    const caller = createCaller(headers, session?.socket);
    const call = gate.admit(method.name, caller, timeoutMs, connection);
    stream[ADMITTED] = call;
    connection?.callBegins();
    stream.on('close', () => {
      connection?.callEnds();
      call.close();
    });
    return call;
  }

  function serve(method: DescMethod, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const encoding = headers['grpc-encoding'] as string | undefined;
    const timeoutMs = takeTimeout(headers);
    let call: AdmittedCall | undefined;
    let countNoMore = ignore;
    try {
      if (method.parent === FileService) call = admit(method, stream, headers, timeoutMs);
      else countNoMore = noteUnproven(stream);
    } catch (error) {
      noteUnproven(stream);
      refuse(stream, toConnectError(error));
      return;
    }
    if (method.methodKind === 'bidi_streaming' || method.methodKind === 'client_streaming') {
      if (encoding === undefined || encoding === 'identity') pass(stream, headers);
      else refuse(stream, compressedStream());
      return;
    }
    const giveBack = readGrpcMessage(stream, {
      maxBytes: messageMaxBytes(method, 'binary'),
      encoding,
      userId: call?.userId,
      budget,
      onMessage(message) {
        // A Watch stays open; StreamEndingServer has a limit for those.
        if (method.methodKind === 'server_streaming') countNoMore();
        if (stream.destroyed || stream.closed) return;
        pass(stream, headers);
        stream.emit('data', message);
        stream.emit('end');
      },
      onError: (error) => refuse(stream, toConnectError(error)),
    });
    stream.on('close', giveBack);
  }

  server.on('stream', (stream, headers) => {
    const method = methods.get(headers[':path'] as string);
    // grpc-js refuses by their headers what is no method, and what is not gRPC.
    if (method === undefined || !headers['content-type']?.startsWith('application/grpc')) {
      noteUnproven(stream);
      return pass(stream, headers);
    }
    // A stream that breaks closes, which is what is listened for.
    stream.on('error', ignore);
    serve(method, stream, headers);
  });
}

/** Each message of a stream would be inflated as it comes, many at once. */
function compressedStream(): ConnectError {
  return new ConnectError('messages of a stream are taken without compression only', Code.Unimplemented);
}

/** Answers with a status and nothing else, and takes nothing more of the request. */
function refuse(stream: ServerHttp2Stream, error: ConnectError): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return;
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc+proto',
      'grpc-accept-encoding': ACCEPTED_ENCODINGS,
      ...trailersOnly(error),
    },
    { endStream: true },
  );
  // Once the answer is out; the client may still be sending.
  setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
}
