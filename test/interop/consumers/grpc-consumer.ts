import { fromBinary, fromJsonString } from '@bufbuild/protobuf';
import { DeliverFileEventRequestSchema } from '../../../gen/files/v1/file_events_service_pb.ts';
import type { Language } from '../clients/language.ts';
import { buildConsumer, type Consumer } from './consumer.ts';

/** A generated gRPC server that prints events as JSON, or their bytes as hexadecimal digits. */
export function grpcConsumer(language: Language, shared: readonly string[] = []): Consumer {
  return {
    name: `a gRPC server in ${language.name}`,
    missing: language.missing,
    build: () => buildConsumer(language, shared),
    eventsUrl: (port) => `grpc://127.0.0.1:${port}`,
    parse: (line) =>
      line.startsWith('{')
        ? fromJsonString(DeliverFileEventRequestSchema, line)
        : fromBinary(DeliverFileEventRequestSchema, Buffer.from(line, 'hex')),
  };
}
