/** Calls of FileService whose bytes a test chooses, over each protocol, and the error that answers them. */
import { connect, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2';
import { fromBinary, type Message } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { trailerParse } from '@connectrpc/connect/protocol-grpc-web';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { envelope } from '../resilience/http2-frames.ts';
import type { TestService } from './service.ts';

const REGISTRY = [ErrorInfoSchema, BadRequestSchema, RetryInfoSchema];

export interface Wire {
  name: string;
  port: 'gRPC' | 'HTTP';
  contentType: string;
  format: 'binary' | 'JSON';
  timeoutHeader: 'grpc-timeout' | 'connect-timeout-ms';
  encodingHeader: 'grpc-encoding' | 'content-encoding';
  /** Puts an encoded message into a body. */
  body: (message: Uint8Array, isCompressed?: boolean) => Uint8Array;
}

const prefixed = (message: Uint8Array, isCompressed = false) => envelope(message, isCompressed ? 1 : 0);
const base64 = (bytes: Uint8Array) => Buffer.from(Buffer.from(bytes).toString('base64'));

const grpc = {
  format: 'binary',
  timeoutHeader: 'grpc-timeout',
  encodingHeader: 'grpc-encoding',
  body: prefixed,
} as const;
const connectProtocol = {
  port: 'HTTP',
  timeoutHeader: 'connect-timeout-ms',
  encodingHeader: 'content-encoding',
  body: (message: Uint8Array) => message,
} as const;

export const WIRES: readonly Wire[] = [
  { ...grpc, name: 'gRPC', port: 'gRPC', contentType: 'application/grpc' },
  { ...grpc, name: 'gRPC on the HTTP port', port: 'HTTP', contentType: 'application/grpc+proto' },
  { ...grpc, name: 'gRPC-Web', port: 'HTTP', contentType: 'application/grpc-web+proto' },
  {
    ...grpc,
    name: 'gRPC-Web in JSON',
    format: 'JSON',
    port: 'HTTP',
    contentType: 'application/grpc-web+json',
  },
  {
    ...grpc,
    name: 'gRPC-Web as text',
    port: 'HTTP',
    contentType: 'application/grpc-web-text',
    body: (message, isCompressed) => base64(prefixed(message, isCompressed)),
  },
  { ...connectProtocol, name: 'Connect in binary', format: 'binary', contentType: 'application/proto' },
  { ...connectProtocol, name: 'Connect in JSON', format: 'JSON', contentType: 'application/json' },
];

interface WireAnswer {
  headers: IncomingHttpHeaders & IncomingHttpStatusHeader;
  trailers: IncomingHttpHeaders;
  body: Buffer;
}

/** @param path of a method of FileService; a path that begins with `/` is sent as it is */
export async function callOver(
  service: TestService,
  wire: Pick<Wire, 'port' | 'contentType'>,
  path: string,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Promise<WireAnswer> {
  const session = connect(wire.port === 'gRPC' ? service.grpcUrl : service.httpUrl);
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': path.startsWith('/') ? path : `/files.v1.FileService/${path}`,
      'content-type': wire.contentType,
      'x-user-id': 'ada',
      te: 'trailers',
      ...headers,
    });
    const answer: WireAnswer = { headers: {}, trailers: {}, body: Buffer.alloc(0) };
    stream.on('response', (received) => {
      answer.headers = received;
    });
    stream.on('trailers', (received) => {
      answer.trailers = received;
    });
    stream.end(body);
    answer.body = Buffer.concat(await stream.toArray());
    return answer;
  } finally {
    session.destroy();
  }
}

/** The error of an answer in any protocol. @throws when the answer is no error */
export function errorIn({ headers, trailers, body }: WireAnswer): ConnectError {
  const type = String(headers['content-type']);
  if (!type.startsWith('application/grpc')) return connectErrorIn(body);
  // gRPC-Web has its trailers in the body, if they are not in the headers.
  const inBody = type.includes('text') ? Buffer.from(body.toString(), 'base64') : body;
  const status = { ...headers, ...trailers, ...Object.fromEntries(trailerParse(inBody.subarray(5))) };
  const message = decodeURIComponent(String(status['grpc-message']));
  const error = new ConnectError(message, Number(status['grpc-status']));
  const bytes = Buffer.from(String(status['grpc-status-details-bin'] ?? ''), 'base64');
  for (const detail of fromBinary(StatusSchema, bytes).details) {
    const desc = REGISTRY.find(({ typeName }) => detail.typeUrl.endsWith(`/${typeName}`));
    const value = desc && (anyUnpack(detail, desc) as Message | undefined);
    if (desc && value) error.details.push({ desc, value });
  }
  return error;
}

function connectErrorIn(body: Buffer): ConnectError {
  const {
    code,
    message,
    details = [],
  } = JSON.parse(body.toString()) as {
    code: string;
    message: string;
    details?: { type: string; value: string }[];
  };
  const name = code.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const error = new ConnectError(message, Code[name as keyof typeof Code]);
  for (const { type, value } of details) error.details.push({ type, value: Buffer.from(value, 'base64') });
  return error;
}
