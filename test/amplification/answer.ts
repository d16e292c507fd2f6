import { status } from '@grpc/grpc-js';

/** The answer to a request, independent of its protocol. */
export interface Answer {
  /**
   * The name of the gRPC code; `HTTP 415` and the like if there is only an HTTP status; `closed` without an
   * answer.
   */
  readonly code: string;
  readonly text: string;
  /** The bytes of headers, body and trailers, before HPACK. */
  readonly bytes: number;
}

/** The stream was reset or the connection was closed, which counts as a refusal. */
export const CLOSED: Answer = { code: 'closed', text: '', bytes: 0 };

/**
 * Texts of INTERNAL errors for bytes that cannot be decoded or decompressed. gRPC's specification demands
 * INTERNAL for these, so they are not an error of the service.
 */
const UNDECODABLE =
  /Error deserializing request|parse binary|Failed to decompress|decompression failed|know how to decompress/;

export function answerOf(fields: Readonly<Record<string, unknown>>, body: Buffer): Answer {
  const httpStatus = fields[':status'];
  if (httpStatus === undefined) return CLOSED;
  const headerBytes = Object.entries(fields).flat().join('').length;
  const bytes = headerBytes + body.length;
  const text = `${decodeURIComponent(String(fields['grpc-message'] ?? ''))}${body.toString('latin1', 0, 10_000)}`;
  const isJson = /json/.test(String(fields['content-type']));
  // gRPC-Web has its trailers in the body. Connect has its code in the body.
  const grpcStatus = fields['grpc-status'] ?? /grpc-status: ?(\d+)/.exec(text)?.[1];
  const connectCode = isJson ? /"code":"(\w+)"/.exec(text)?.[1] : undefined;
  const code =
    connectCode?.toUpperCase() ?? (grpcStatus === undefined ? undefined : status[Number(grpcStatus)]);
  if (code === 'INTERNAL' && UNDECODABLE.test(text.replaceAll('%20', ' ')))
    return { code: 'UNDECODABLE', text, bytes };
  if (code !== undefined) return { code, text, bytes };
  if (httpStatus === 500) return { code: 'INTERNAL', text, bytes };
  return { code: httpStatus === 200 ? 'OK' : `HTTP ${httpStatus}`, text, bytes };
}
