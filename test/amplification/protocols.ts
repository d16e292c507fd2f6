import type { DescMethod } from '@bufbuild/protobuf';
import type { Encoding } from './encodings.ts';
import type { Port } from './methods.ts';

/** Describes how a protocol puts a message into a request. */
export interface Protocol {
  readonly name: string;
  readonly port: Port;
  readonly format: 'binary' | 'JSON';
  /** The encodings that the server accepts. */
  readonly encodings: readonly Encoding[];
  /** The HTTP port serves both versions, and each version is used by at least one protocol. */
  readonly httpVersion: 1 | 2;
  contentType(method: DescMethod): string;
  /** The header that names the encoding. */
  encodingHeader(method: DescMethod): string;
  /** `true` when a prefix of five bytes with the length precedes each message. */
  hasEnvelope(method: DescMethod): boolean;
}

const isUnary = ({ methodKind }: DescMethod) => methodKind === 'unary';
/** The encodings of connect-node. */
const ENCODINGS: readonly Encoding[] = ['identity', 'gzip', 'br'];

const grpc = {
  format: 'binary',
  encodingHeader: () => 'grpc-encoding',
  hasEnvelope: () => true,
} as const;

/** A unary call has no prefix before the message. A stream has a prefix, as in gRPC. */
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
    // The encodings of grpc-js.
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

/** Bidirectional streams are served over HTTP/2 only. */
export function httpVersionOf(protocol: Protocol, method: DescMethod): 1 | 2 {
  return method.methodKind === 'bidi_streaming' ? 2 : protocol.httpVersion;
}
