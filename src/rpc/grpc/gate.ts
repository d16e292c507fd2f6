import type { Http2Server, Http2Session, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { DescMethod } from '@bufbuild/protobuf';
import type { ConnectError } from '@connectrpc/connect';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import type { SharedCapacity } from '../../overload/shared-capacity.ts';
import type { AdmittedCall } from '../admitted-call.ts';
import type { CallGate } from '../call-gate.ts';
import { callError, methodUnknown, openStreamsTooMany, toConnectError } from '../errors.ts';
import type { Connection, ConnectionLimit } from '../limits/connection-limit.ts';
import type { TakeDecodeTurn } from '../limits/decode-turns.ts';
import type { RunDecoder } from '../limits/decoders.ts';
import { limitRequestBytes } from '../limits/http2-limits.ts';
import { OPEN_STREAMS_PER_CONNECTION_MAX, UNPROVEN_REQUESTS_MAX } from '../limits/limits.ts';
import { messageMaxBytes } from '../limits/message-limits.ts';
import { limitPerConnection } from '../limits/open-per-connection.ts';
import { abortStream, limitUnprovenRequests } from '../limits/unproven-requests.ts';
import { releaseWhenClosed } from '../memory/closed-stream.ts';
import { takeTimeout } from '../timeout-headers.ts';
import { readGrpcMessage } from './message.ts';
import { refuse } from './status.ts';
import type { AnswerUnary } from './unary.ts';

interface GrpcGateOptions {
  /** All methods of the server by their path. */
  methods: ReadonlyMap<string, DescMethod>;
  gate: CallGate;
  connections: ConnectionLimit;
  budget: SharedCapacity;
  runDecoder: RunDecoder;
  takeDecodeTurn: TakeDecodeTurn;
  /** Answers the calls that the call gate has admitted. grpc-js answers all others. */
  answerUnary: AnswerUnary;
  /** Tells grpc-js about a stream that grpc-js does not get, so that it does not close the connection as idle. */
  countStream: (stream: ServerHttp2Stream) => void;
}

type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

const ignore = (): void => undefined;

interface Guard extends GrpcGateOptions {
  /** Hands a stream to grpc-js. */
  pass: OnStream;
  connectionOf: (session: Http2Session | undefined) => Connection | undefined;
  /** @returns `undefined` if the stream must not be served */
  noteUnproven: (stream: ServerHttp2Stream) => (() => void) | undefined;
  mayOpenStream: ReturnType<typeof limitPerConnection>;
}

/**
 * Takes over the new streams of an HTTP/2 server before grpc-js sees them. First the call gate decides about
 * a call by its headers. Then this file reads the whole request message. A call of the file service is then
 * answered by `unary.ts`. For other methods, grpc-js now receives the stream, the message and the end of the
 * request. Without this order, grpc-js inflates and decodes every message that arrives: 10 kB of unfinished
 * requests, from a caller that had not authenticated as a gateway, exhausted the heap of the process.
 *
 * grpc-js reads a stream by the events `data` and `end`, which this file emits. If a release of grpc-js reads
 * streams in another way, no health check is answered and every test of health over gRPC fails.
 */
export function guardGrpc(server: Http2Server, options: GrpcGateOptions): void {
  const connectionOf = rememberConnections(server, options.connections);
  const noteUnproven = limitUnprovenRequests<ServerHttp2Stream>({
    connections: options.connections,
    openMax: UNPROVEN_REQUESTS_MAX,
    abort: abortStream,
  });
  const guard: Guard = {
    ...options,
    pass: takeOverStreams(server),
    connectionOf,
    mayOpenStream: limitPerConnection(OPEN_STREAMS_PER_CONNECTION_MAX),
    noteUnproven: (stream) => noteUnproven(stream, connectionOf(stream.session)),
  };
  server.on('stream', (stream, headers) => {
    // Node still emits the streams that it had read before their connection was closed.
    if (stream.destroyed) return;
    releaseWhenClosed(stream);
    // If a request is not gRPC, grpc-js refuses it after reading only its headers.
    if (!headers['content-type']?.startsWith('application/grpc')) {
      if (guard.noteUnproven(stream)) guard.pass(stream, headers);
      return;
    }
    const method = options.methods.get(headers[':path'] as string);
    if (method !== undefined) return serve(guard, method, stream, headers);
    if (guard.noteUnproven(stream)) refuse(stream, methodUnknown());
  });
}

/** @returns a function that calls the listeners that the server had */
function takeOverStreams(server: Http2Server): OnStream {
  const grpcJs = server.listeners('stream') as OnStream[];
  server.removeAllListeners('stream');
  return (stream, headers) => {
    for (const listener of grpcJs) listener.call(server, stream, headers);
  };
}

function rememberConnections(server: Http2Server, connections: ConnectionLimit): Guard['connectionOf'] {
  const known = new WeakMap<Http2Session, Connection>();
  server.on('session', (session) => {
    const connection = connections.of(session.socket);
    if (connection !== undefined) known.set(session, connection);
  });
  return (session) => session && known.get(session);
}

function serve(
  guard: Guard,
  method: DescMethod,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): void {
  const timeoutMs = takeTimeout(headers);
  let admittedCall: AdmittedCall | undefined;
  let countNoMore: (() => void) | undefined = ignore;
  try {
    const { session } = stream;
    if (method.parent === FileService) {
      admittedCall = guard.gate.admit({
        method: method.name,
        caller: { headers, connection: session?.socket },
        timeoutMs,
        connection: guard.connectionOf(session),
        stream,
      });
    } else {
      const isStream = method.methodKind !== 'unary';
      if (isStream && session && !guard.mayOpenStream(session, stream)) throw openStreamsTooMany();
      countNoMore = guard.noteUnproven(stream);
      if (countNoMore === undefined) return;
    }
  } catch (error) {
    if (guard.noteUnproven(stream)) refuse(stream, toConnectError(error));
    return;
  }
  if (method.methodKind === 'bidi_streaming') serveStream(guard, stream, headers);
  else serveMessage(guard, method, stream, headers, admittedCall, countNoMore);
}

function serveStream(guard: Guard, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const { 'grpc-encoding': encoding = 'identity' } = headers;
  if (encoding !== 'identity') refuse(stream, compressedStream());
  else {
    guard.pass(stream, headers);
    limitRequestBytes(stream);
  }
}

/**
 * Reads the single message of a request, and answers the call or hands it to grpc-js.
 *
 * @param admittedCall `undefined` for a health check
 */
function serveMessage(
  guard: Guard,
  method: DescMethod,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  admittedCall: AdmittedCall | undefined,
  countNoMore: () => void,
): void {
  const onError = (error: unknown) => refuse(stream, toConnectError(error));
  const userId = admittedCall?.userId;
  readGrpcMessage(stream, {
    maxBytes: messageMaxBytes(method, 'binary'),
    encoding: headers['grpc-encoding'] as string | undefined,
    userId,
    budget: guard.budget,
    runDecoder: guard.runDecoder,
    onMessage(message) {
      // A health Watch stays open for long. So after its message, it no longer counts towards the limit of
      // unproven requests (`../limits/unproven-requests.ts`). StreamEndingServer limits such streams
      // (`open-streams.ts`).
      if (method.methodKind === 'server_streaming') countNoMore();
      const decode = () => {
        if (stream.destroyed || stream.closed) return;
        if (admittedCall !== undefined) {
          guard.countStream(stream);
          void guard.answerUnary(stream, method, message, admittedCall);
          return;
        }
        guard.pass(stream, headers);
        stream.emit('data', message);
        stream.emit('end');
      };
      guard.takeDecodeTurn({ userId, bytes: message.length }, decode, onError);
    },
    onError,
  });
}

/**
 * Compressed request streams are refused: grpc-js would inflate many of their messages at once, as they
 * arrive.
 */
function compressedStream(): ConnectError {
  return callError('UNIMPLEMENTED', 'the messages of a stream must not be compressed');
}
