import { HEADERS_MAX_COUNT, OPEN_STREAMS_PER_CONNECTION_MAX } from '../../src/rpc/limits/limits.ts';
import type { Refusal } from './held-by-each.ts';
import type { Port } from './methods.ts';
import type { RawRequest } from './request.ts';
import { gateway, STRANGER } from './service.ts';

const CALL = '/files.v1.FileService/ListFiles';
const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';

const grpc = { 'content-type': 'application/grpc', te: 'trailers' };
const connect = { 'content-type': 'application/proto' };
const text = { 'content-type': 'text/plain' };

/** More than the limit of any message without lists. */
const LARGE_BYTES = 18_000;

/** A page of this origin may call the service of `refused-requests.test.ts`. */
export const ORIGIN = 'https://app.example';

interface Asked extends Pick<RawRequest, 'path' | 'headers'> {
  method?: string;
  /** Default: each port that serves the HTTP version. */
  port?: Port;
  /** Default: 1 and 2. */
  httpVersion?: 1 | 2;
  /** The bytes that are sent of the body. Default: 1. */
  bodyBytes?: number;
  /** The answer: `HTTP` and its status, or the code in it. */
  code: string;
  openCopies?: number;
}

/** One request for each way in which the service answers before a request has ended. */
const REFUSALS: Record<string, Asked> = {
  'without proof, gRPC': { path: CALL, headers: { ...grpc, ...STRANGER }, code: 'UNAUTHENTICATED' },
  'without proof, Connect': {
    path: CALL,
    headers: { ...connect, ...STRANGER },
    port: 'HTTP',
    code: 'UNAUTHENTICATED',
  },
  'without a user': { path: CALL, headers: { ...grpc, ...gateway('') }, code: 'UNAUTHENTICATED' },
  'unknown method': { path: '/files.v1.FileService/No', headers: grpc, code: 'UNIMPLEMENTED' },
  'unknown path': { path: '/no', headers: text, port: 'HTTP', code: 'HTTP 404' },
  'unknown Content-Type': { path: CHECK, headers: text, port: 'HTTP', code: 'INVALID_ARGUMENT' },
  'no Content-Type': { path: CHECK, headers: {}, port: 'HTTP', code: 'INVALID_ARGUMENT' },
  'unknown Content-Type, gRPC': { path: CHECK, headers: text, port: 'gRPC', code: 'HTTP 415' },
  'no Content-Type, gRPC': { path: CHECK, headers: {}, port: 'gRPC', code: 'HTTP 415' },
  'PUT of a call': { method: 'PUT', path: CALL, headers: connect, port: 'HTTP', code: 'UNIMPLEMENTED' },
  'POST to a page': { path: '/livez', headers: text, port: 'HTTP', code: 'HTTP 405' },
  'page with a body': { method: 'GET', path: '/livez', headers: text, port: 'HTTP', code: 'OK' },
  preflight: {
    method: 'OPTIONS',
    path: CALL,
    headers: { origin: ORIGIN, 'access-control-request-method': 'POST' },
    port: 'HTTP',
    code: 'HTTP 204',
  },
  'unknown expectation': {
    path: CALL,
    headers: { ...connect, expect: 'tea' },
    port: 'HTTP',
    code: 'HTTP 417',
  },
  'malformed host': {
    path: CALL,
    headers: { ...connect, host: 'a:99999' },
    port: 'HTTP',
    httpVersion: 1,
    code: 'HTTP 400',
  },
  // Over HTTP/2, Node itself refuses such a request.
  'too many headers': {
    path: CALL,
    headers: Object.fromEntries(Array.from({ length: HEADERS_MAX_COUNT }, (_, index) => [`x-${index}`, ''])),
    port: 'HTTP',
    httpVersion: 1,
    code: 'HTTP 431',
  },
  'Watch on the HTTP port': { path: WATCH, headers: grpc, port: 'HTTP', code: 'UNIMPLEMENTED' },
  'compressed stream': {
    path: REFLECTION,
    headers: { ...grpc, 'grpc-encoding': 'gzip' },
    port: 'gRPC',
    code: 'UNIMPLEMENTED',
  },
  'reflection over HTTP/1.1': {
    path: REFLECTION,
    headers: grpc,
    port: 'HTTP',
    httpVersion: 1,
    code: 'HTTP 505',
  },
  'more streams than a connection may have open': {
    path: REFLECTION,
    headers: grpc,
    httpVersion: 2,
    code: 'RESOURCE_EXHAUSTED',
    openCopies: OPEN_STREAMS_PER_CONNECTION_MAX,
  },
  'message too large': {
    path: CALL,
    headers: { ...grpc, ...gateway('ada') },
    bodyBytes: LARGE_BYTES,
    code: 'RESOURCE_EXHAUSTED',
  },
};

export interface RefusedRequest {
  name: string;
  request: RawRequest;
  refusal: Refusal;
}

/** Each refusal on each port and by each HTTP version. */
export const REFUSED_REQUESTS: readonly RefusedRequest[] = Object.entries(REFUSALS).flatMap(([name, asked]) =>
  (['gRPC', 'HTTP'] as const)
    .filter((port) => (asked.port ?? port) === port)
    .flatMap((port) =>
      (port === 'gRPC' ? ([2] as const) : ([1, 2] as const))
        .filter((httpVersion) => (asked.httpVersion ?? httpVersion) === httpVersion)
        .map((httpVersion) => ({
          name: `${port} port, HTTP/${httpVersion}: ${name}`,
          request: requestOf(asked, port, httpVersion),
          refusal: asked,
        })),
    ),
);

function requestOf(asked: Asked, port: Port, httpVersion: 1 | 2): RawRequest {
  const { method = 'POST', path, headers, bodyBytes = 1 } = asked;
  return {
    port,
    httpVersion,
    method,
    path,
    // The connection stays open after the answer, so that its memory can be measured.
    headers: httpVersion === 1 ? { ...headers, connection: 'keep-alive' } : headers,
    // Over HTTP/1.1, the sender keeps the last byte of a half-open request.
    body: Buffer.alloc(httpVersion === 1 ? bodyBytes + 1 : bodyBytes),
    isEndless: false,
  };
}
