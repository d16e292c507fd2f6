/**
 * `application/grpc-web-text` is gRPC-Web in base64 (grpc/grpc, "gRPC Web"), the default of the official grpc-web
 * client. connect-node serves gRPC-Web without it, so the call gets the Content-Type and the bytes of plain gRPC-Web.
 */
import type { UniversalServerRequest, UniversalServerResponse } from '@connectrpc/connect/protocol';

const TEXT = 'application/grpc-web-text';
const PLAIN = 'application/grpc-web';

export function decodeText(body: Buffer): Buffer {
  return Buffer.from(body.toString('latin1'), 'base64');
}

/** Gives a request whose body `decodeText` has decoded the Content-Type of plain gRPC-Web. */
export function nameAsPlain({ header }: UniversalServerRequest): void {
  header.set('content-type', (header.get('content-type') ?? '').toLowerCase().replace(TEXT, PLAIN));
}

/**
 * Encodes an answer. Each chunk is encoded by itself. The protocol allows padding at the end of each chunk,
 * so no bytes need to wait for the next chunk.
 */
export function encodeText(answer: UniversalServerResponse): UniversalServerResponse {
  answer.header?.set('content-type', (answer.header.get('content-type') ?? '').replace(PLAIN, TEXT));
  return answer.body === undefined ? answer : { ...answer, body: encoded(answer.body) };
}

async function* encoded(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) yield Buffer.from(Buffer.from(chunk).toString('base64'));
}
