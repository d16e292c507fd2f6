import type { OutgoingHttpHeaders } from 'node:http';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { toBinary } from '@bufbuild/protobuf';
import type { ConnectError } from '@connectrpc/connect';
import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import { statusOf } from '../errors.ts';
import { ACCEPTED_ENCODINGS } from './message.ts';

/** The gRPC status of an error. Its trailers contain the error details as a `google.rpc.Status`. */
export function grpcStatus(error: ConnectError): StatusObject & { metadata: Metadata } {
  const metadata = new Metadata();
  if (error.details.length > 0) {
    metadata.set('grpc-status-details-bin', Buffer.from(toBinary(StatusSchema, statusOf(error))));
  }
  return { code: error.code as number, details: error.rawMessage, metadata };
}

/** Returns the gRPC status as the headers of a response without messages ("Trailers-Only" in gRPC over HTTP2). */
export function trailersOnly(error: ConnectError): OutgoingHttpHeaders {
  const { code, details, metadata } = grpcStatus(error);
  return {
    'grpc-status': code,
    'grpc-message': encodeURI(details.toWellFormed()),
    ...metadata.toHttp2Headers(),
  };
}

/** Answers with a status alone, and then closes the stream, so that no more of the request is received. */
export function refuse(stream: ServerHttp2Stream, error: ConnectError): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return;
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc+proto',
      'grpc-accept-encoding': ACCEPTED_ENCODINGS,
      ...trailersOnly(error),
    },
    { endStream: true },
  );
  // Closes the stream after the response was sent, because the client may still be sending its request.
  setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
}
