import type { OutgoingHttpHeaders } from 'node:http';
import { toBinary } from '@bufbuild/protobuf';
import type { ConnectError } from '@connectrpc/connect';
import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import { statusOf } from '../errors.ts';

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
