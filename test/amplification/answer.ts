import { status } from '@grpc/grpc-js';

/** What came of a request, in the words of whichever protocol it was. */
export interface Answer {
  /** As gRPC spells it; `HTTP 415` and the like where only HTTP answered; `closed` without an answer. */
  readonly code: string;
  readonly text: string;
}

/** The stream was reset or the connection closed: as good a refusal as any. */
export const CLOSED: Answer = { code: 'closed', text: '' };

/** gRPC's specification calls bytes INTERNAL that cannot be decoded or decompressed: that is not a fault of the service. */
const UNDECODABLE =
  /Error deserializing request|parse binary|Failed to decompress|decompression failed|know how to decompress/;

export function answerOf(fields: Readonly<Record<string, unknown>>, body: Buffer): Answer {
  const httpStatus = fields[':status'];
  if (httpStatus === undefined) return CLOSED;
  const text = `${decodeURIComponent(String(fields['grpc-message'] ?? ''))}${body.toString('latin1', 0, 10_000)}`;
  const isJson = /json/.test(String(fields['content-type']));
  // gRPC-Web has its trailers in the body, and Connect its code.
  const grpcStatus = fields['grpc-status'] ?? /grpc-status: ?(\d+)/.exec(text)?.[1];
  const connectCode = isJson ? /"code":"(\w+)"/.exec(text)?.[1] : undefined;
  const code =
    connectCode?.toUpperCase() ?? (grpcStatus === undefined ? undefined : status[Number(grpcStatus)]);
  if (code === 'INTERNAL' && UNDECODABLE.test(text.replaceAll('%20', ' ')))
    return { code: 'UNDECODABLE', text };
  if (code !== undefined) return { code, text };
  if (httpStatus === 500) return { code: 'INTERNAL', text };
  return { code: httpStatus === 200 ? 'OK' : `HTTP ${httpStatus}`, text };
}
