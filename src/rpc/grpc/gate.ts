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
  /** All methods of the server by their path. */
  methods: ReadonlyMap<string, DescMethod>;
  gate: CallGate;
  connections: ConnectionLimit;
  budget: MessageBudget;
  /** Requests without an accepted proof that may be open at once, on all connections together. */
  unprovenRequestsMax: number;
}

type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/**
 * The property of a stream that holds its admitted call. A WeakMap was rejected: an entry for each call costs
 * the garbage collector more than all other work in this file.
 */
const ADMITTED = Symbol('admitted call');

type GuardedStream = ServerHttp2Stream & { [ADMITTED]?: AdmittedCall };

/** The admitted call of a stream; `undefined` for methods that need no proof (health, reflection). */
export function admittedCallOn(stream: object | undefined): AdmittedCall | undefined {
  return (stream as GuardedStream | undefined)?.[ADMITTED];
}

const ignore = (): void => undefined;

/**
 * Takes over the new streams of an HTTP/2 server before grpc-js sees them. First the call gate decides about
 * a call by its headers. Then this file reads the whole request message. Only then does grpc-js receive the
 * stream, the message and the end of the request. Without this order grpc-js inflates and decodes every
 * message that arrives: 10 kB of half-open requests without proof exhausted its heap.
 *
 * grpc-js reads a stream by the events `data` and `end`, which this file emits. If a release of grpc-js reads
 * streams in another way, no call is answered and every test over gRPC fails.
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
        // A health Watch stays open for long. StreamEndingServer limits such streams (`open-streams.ts`).
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
    // grpc-js refuses unknown methods and requests that are not gRPC by their headers alone.
    if (method === undefined || !headers['content-type']?.startsWith('application/grpc')) {
      noteUnproven(stream);
      return pass(stream, headers);
    }
    // An error needs no handling, because the stream then closes, and every cleanup listens for `close`.
    stream.on('error', ignore);
    serve(method, stream, headers);
  });
}

/**
 * Compressed request streams are refused: grpc-js would inflate many of their messages at once, as they
 * arrive.
 */
function compressedStream(): ConnectError {
  return new ConnectError('the messages of a stream must not be compressed', Code.Unimplemented);
}

/** Answers with a status alone, and then closes the stream, so that no more of the request is received. */
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
  // Closes the stream after the response was sent, because the client may still be sending its request.
  setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
}
