import type { DescMethod } from '@bufbuild/protobuf';
import type { Encoding } from './encodings.ts';
import type { Port } from './methods.ts';

/** A way to put a message into a request. */
export interface Protocol {
  readonly name: string;
  readonly port: Port;
  readonly format: 'binary' | 'JSON';
  /** Those that its server takes. */
  readonly encodings: readonly Encoding[];
  /** Where both are served, each is used by one protocol at least. */
  readonly httpVersion: 1 | 2;
  contentType(method: DescMethod): string;
  /** The header that names the encoding. */
  encodingHeader(method: DescMethod): string;
  /** Whether five bytes with its length stand before a message. */
  hasEnvelope(method: DescMethod): boolean;
}

const isUnary = ({ methodKind }: DescMethod) => methodKind === 'unary';
/** connect-node's. */
const ENCODINGS: readonly Encoding[] = ['identity', 'gzip', 'br'];

const grpc = {
  format: 'binary',
  encodingHeader: () => 'grpc-encoding',
  hasEnvelope: () => true,
} as const;

/** A call of one message has it bare; a stream is more like gRPC. */
const connect = {
  port: 'HTTP',
  encodings: ENCODINGS,
  encodingHeader: (method: DescMethod) => (isUnary(method) ? 'content-encoding' : 'connect-content-encoding'),
  hasEnvelope: (method: DescMethod) => !isUnary(method),
} as const;

export const PROTOCOLS: readonly Protocol[] = [
  {
    ...grpc,
    name: 'gRPC',
    port: 'gRPC',
    // grpc-js's.
    encodings: ['identity', 'gzip', 'deflate'],
    httpVersion: 2,
    contentType: () => 'application/grpc',
  },
  {
    ...grpc,
    name: 'gRPC on the HTTP port',
    port: 'HTTP',
    encodings: ENCODINGS,
    httpVersion: 2,
    contentType: () => 'application/grpc',
  },
  {
    ...grpc,
    name: 'gRPC-Web',
    port: 'HTTP',
    encodings: ENCODINGS,
    httpVersion: 1,
    contentType: () => 'application/grpc-web+proto',
  },
  {
    ...connect,
    name: 'Connect binary',
    format: 'binary',
    httpVersion: 2,
    contentType: (method) => (isUnary(method) ? 'application/proto' : 'application/connect+proto'),
  },
  {
    ...connect,
    name: 'Connect JSON',
    format: 'JSON',
    httpVersion: 1,
    contentType: (method) => (isUnary(method) ? 'application/json' : 'application/connect+json'),
  },
];

/** Streams in both directions are served over HTTP/2 alone. */
export function httpVersionOf(protocol: Protocol, method: DescMethod): 1 | 2 {
  return method.methodKind === 'bidi_streaming' ? 2 : protocol.httpVersion;
}
