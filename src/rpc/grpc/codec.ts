/** Messages in the binary form of protobuf, for both ways on which gRPC calls are served (`unary.ts`, `bridge.ts`). */
import { create, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import { invalidRequest } from '../errors.ts';

/** @throws ConnectError INVALID_REQUEST */
export function decodeRequest(schema: DescMessage, bytes: Uint8Array): unknown {
  try {
    // Unknown fields are dropped. Nothing reads them, and protobuf-es would keep them in objects that take fifty
    // times as much memory.
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch {
    throw invalidRequest(`the request is not a ${schema.typeName}, or contains a text that is not UTF-8`);
  }
}

/** @param message may also be the init object of a message, because an implementation may return it instead */
export function encodeMessage(schema: DescMessage, message: unknown): Buffer {
  const bytes = toBinary(schema, create(schema, message as never));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
