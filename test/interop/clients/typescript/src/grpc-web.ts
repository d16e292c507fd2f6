import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import type { Client } from '@connectrpc/connect';
import grpc, { type RpcError } from 'grpc-web';
import { FileService } from '../gen/es/files/v1/file_service_pb.ts';
import { StatusSchema } from '../gen/es/google/rpc/status_pb.ts';
import './xml-http-request.ts';
import { type Connection, errorOf, TIMEOUT_MS } from './connection.ts';
import { createAllOf } from './create-all.ts';
import { detailsOf, failureFrom } from './failure.ts';

/** The official client, in its default mode: base64 in `application/grpc-web-text`. */
export function grpcWeb(address: string, user: string | undefined): Connection {
  const client = new grpc.GrpcWebClientBase({ format: 'text' });
  const metadata = { ...(user !== undefined && { 'x-user-id': user }) };

  const methodOf =
    (method: DescMethod) =>
    (request: MessageInitShape<DescMessage>, { timeoutMs = TIMEOUT_MS } = {}) => {
      const path = `/${FileService.typeName}/${method.name}`;
      const { input, output } = method;
      const descriptor = new grpc.MethodDescriptor(
        path,
        'unary',
        Object,
        Object,
        (message: MessageInitShape<typeof input>) => toBinary(input, create(input, message)),
        (bytes: Uint8Array) => fromBinary(output, bytes),
      );
      const deadline = String(Date.now() + timeoutMs);
      return client.unaryCall(`http://${address}${path}`, request, { ...metadata, deadline }, descriptor);
    };
  const methods = FileService.methods.map((method) => [method.localName, methodOf(method)]);

  const files = Object.fromEntries(methods) as Client<typeof FileService>;
  return {
    files,
    createAll: createAllOf(files, codeName),
    async failureOf(call) {
      const { code, metadata } = (await errorOf(call)) as RpcError;
      const bytes = base64Decode(metadata['grpc-status-details-bin'] ?? '');
      return failureFrom(codeName(code), detailsOf(fromBinary(StatusSchema, bytes)));
    },
    [Symbol.dispose]() {},
  };
}

function codeName(code: number): string | undefined {
  return Object.entries(grpc.StatusCode).find(([, value]) => value === code)?.[0];
}
