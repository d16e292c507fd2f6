import { createHash } from 'node:crypto';
import type { OutgoingHttpHeaders } from 'node:http2';
import fc from 'fast-check';
import { envelope, FLAG, FRAME, frame, grpcHeaders, headerBlock } from './http2-frames.ts';

/**
 * An input that no honest client sends: bytes on a connection, or a call of which only some parts are valid.
 */
export type HostileInput =
  | { kind: 'bytes'; port: 'gRPC' | 'HTTP'; bytes: Uint8Array }
  | { kind: 'call'; port: 'gRPC' | 'HTTP'; headers: OutgoingHttpHeaders; body: Uint8Array };

export const GATEWAY_TOKEN = 'the-gateways-very-own-token';

const port = fc.constantFrom<'gRPC' | 'HTTP'>('gRPC', 'HTTP');
/** Random bytes that are derived from a number. A byte array of fast-check would take fifty times as long. */
const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.nat().map((seed) => {
    const outputLength = seed % (maxLength + 1);
    return createHash('shake256', { outputLength }).update(`${seed}`).digest();
  });
/** Visible characters, ASCII or not, which a header can contain. */
const headerText = bytes(100).map((noise) => noise.toString('latin1').replace(/[^\x21-\x7e\xa1-\xff]/g, ''));
/** The valid value in three of four cases, else an invalid value. */
const or = <Right, Wrong>(right: Right, wrong: fc.Arbitrary<Wrong>) =>
  fc.oneof({ arbitrary: fc.constant(right), weight: 3 }, { arbitrary: wrong, weight: 1 });

const METHODS = ['CreatePresignedUpload', 'ListFiles', 'GetFile', 'DeleteFile', 'CreatePresignedDownload'];
const path = fc.oneof(
  { arbitrary: fc.constantFrom(...METHODS).map((name) => `/files.v1.FileService/${name}`), weight: 8 },
  fc.constantFrom(
    '/grpc.health.v1.Health/Check',
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  ),
  headerText.map((text) => `/${text}`),
);

const CONTENT_TYPES = [
  'application/grpc',
  'application/grpc',
  'application/grpc',
  'application/json',
  'application/json',
  'application/grpc+proto',
  'application/grpc+json',
  'application/grpc-web',
  'application/grpc-web+json',
  'application/grpc-web-text',
  'application/json',
  'application/proto',
  'application/connect+proto',
  'application/connect+json',
];

const headers: fc.Arbitrary<OutgoingHttpHeaders> = fc
  .record(
    {
      ':path': path,
      ':method': or('POST', fc.constantFrom('GET', 'PUT', 'OPTIONS', 'X')),
      'content-type': fc.oneof({ arbitrary: fc.constantFrom(...CONTENT_TYPES), weight: 8 }, headerText),
      te: fc.constant('trailers'),
      'x-user-id': or('ada', headerText),
      'x-gateway-token': or(GATEWAY_TOKEN, headerText),
      'grpc-timeout': or('3S', headerText),
      'connect-timeout-ms': or('3000', headerText),
      'connect-protocol-version': or('1', headerText),
      'grpc-encoding': or('identity', fc.oneof(fc.constantFrom('gzip', 'deflate', 'br'), headerText)),
      'content-encoding': or('identity', fc.oneof(fc.constantFrom('gzip', 'br'), headerText)),
      'x-user-id-bin': headerText,
      traceparent: headerText,
      'accept-encoding': headerText,
    },
    { requiredKeys: [':path', ':method', 'content-type', 'te', 'x-user-id', 'x-gateway-token'] },
  )
  .chain((known) =>
    fc
      .dictionary(
        fc.nat().map((n) => `x-${n.toString(36)}`),
        headerText,
        { maxKeys: 5 },
      )
      .map((further) => ({ ...further, ...known })),
  );

/** A field of a message, with a random wire type and content. */
const field = fc
  .tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 7 }), bytes(60), fc.nat(80))
  .map(([number, type, value, length]) => {
    const tag = Buffer.from([(number << 3) | type]);
    return type === 2 ? Buffer.concat([tag, Buffer.from([length]), value]) : Buffer.concat([tag, value]);
  });
const text = fc.oneof(
  bytes(300).map((noise) => noise.toString()),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    'a.txt',
    '2942bfabb3d05332b66eb128e0842cff',
    'text/plain',
    'ada_a.txt',
    '\ud800',
    '../..',
    '\0',
  ),
);
const request = fc.record(
  {
    filename: text,
    mimeType: text,
    md5: text,
    s3Key: text,
    pageToken: text,
    filenamePrefix: text,
    size: fc.oneof(fc.bigInt().map(String), fc.double(), text),
    pageSize: fc.oneof(fc.integer(), fc.double(), text),
  },
  { requiredKeys: [] },
);
const message: fc.Arbitrary<Uint8Array> = fc.oneof(
  request.map((fields) => Buffer.from(JSON.stringify(fields))),
  fc.json({ maxDepth: 2 }).map((json) => Buffer.from(json)),
  fc.array(field, { maxLength: 8 }).map((fields) => Buffer.concat(fields)),
  fc.constant(new Uint8Array()),
  bytes(2_000),
);
const body: fc.Arbitrary<Uint8Array> = fc.oneof(
  message,
  fc
    .tuple(
      message,
      fc.constantFrom(0, 0, 0, 0, 1, 2, 0x80, 0xff),
      fc.constantFrom(0, 0, 0, 0, 0, 0, -1, 1, 2 ** 20, 2 ** 31),
    )
    .map(([content, flags, more]) => envelope(content, flags, Math.max(0, content.length + more))),
);

const httpLine = fc.oneof(
  path.map((target) => `POST ${target} HTTP/1.1`),
  headerText.map((target) => `GET ${target} HTTP/1.1`),
  headerText,
);
const httpHeader = fc.oneof(
  fc.constantFrom(
    'Host: localhost',
    'Host: a:99999',
    'Host: %',
    'Content-Type: application/json',
    'X-User-Id: ada',
    `X-Gateway-Token: ${GATEWAY_TOKEN}`,
    'Content-Length: 2',
    'Content-Length: 99999999999999999999',
    'Transfer-Encoding: chunked',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Expect: 100-continue',
    'Trailer: x',
  ),
  fc.tuple(headerText, headerText).map(([name, value]) => `${name}: ${value}`),
);
const http1 = fc
  .tuple(httpLine, fc.array(httpHeader, { maxLength: 8 }), message)
  .map(([line, lines, content]) =>
    Buffer.concat([Buffer.from(`${[line, ...lines].join('\r\n')}\r\n\r\n`, 'latin1'), content]),
  );

const anyFrame = fc
  .tuple(fc.nat(12), fc.nat(255), fc.nat(9), bytes(100))
  .map(([type, flags, stream, payload]) => frame(type, flags, stream, payload));
const rightFrames = fc
  .tuple(path, fc.integer({ min: 0, max: 4 }), body, fc.boolean())
  .map(([target, n, content, end]) => {
    const stream = 2 * n + 1;
    return Buffer.concat([
      frame(
        FRAME.headers,
        FLAG.endHeaders,
        stream,
        headerBlock(grpcHeaders(target, { 'x-gateway-token': GATEWAY_TOKEN })),
      ),
      frame(FRAME.data, end ? FLAG.endStream : FLAG.none, stream, content),
    ]);
  });
const http2 = fc
  .array(fc.oneof(anyFrame, rightFrames), { maxLength: 10 })
  .map((frames) =>
    Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(FRAME.settings, 0, 0), ...frames]),
  );

/** Replaces one byte of a valid or nearly valid input. */
const mutated = (original: fc.Arbitrary<Uint8Array>) =>
  fc.tuple(original, fc.nat(), fc.nat(255)).map(([right, index, byte]) => {
    const wrong = Uint8Array.from(right);
    if (wrong.length > 0) wrong[index % wrong.length] = byte;
    return wrong;
  });

export const hostileInput: fc.Arbitrary<HostileInput> = fc.oneof(
  { arbitrary: fc.record({ kind: fc.constant('call' as const), port, headers, body }), weight: 6 },
  {
    arbitrary: fc.record({
      kind: fc.constant('bytes' as const),
      port,
      bytes: fc.oneof(bytes(500), http1, mutated(http1), http2, mutated(http2)),
    }),
    weight: 4,
  },
);
