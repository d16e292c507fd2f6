import { create, type MessageInitShape, toJson } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import {
  DeliverFileEventRequestSchema,
  FileEventsService,
} from '../../../gen/files/v1/file_events_service_pb.ts';

/**
 * Delivers an event as proto/files/v1/file_events_service.proto says, without the service.
 *
 * @returns the gRPC code or the HTTP status
 */
export async function deliver(
  eventsUrl: string,
  token: string,
  event: MessageInitShape<typeof DeliverFileEventRequestSchema>,
): Promise<string | number> {
  const headers = { authorization: `Bearer ${token}` };
  if (eventsUrl.startsWith('grpc:')) {
    const transport = createGrpcTransport({ baseUrl: eventsUrl.replace('grpc:', 'http:') });
    const call = createClient(FileEventsService, transport).deliverFileEvent(event, { headers });
    return call.then(
      () => 'OK',
      (error: unknown) => Code[ConnectError.from(error).code],
    );
  }
  const message = create(DeliverFileEventRequestSchema, event);
  const { status } = await fetch(eventsUrl, {
    method: 'POST',
    headers: {
      ...headers,
      'content-type': 'application/json',
      'connect-protocol-version': '1',
      'ce-specversion': '1.0',
      'ce-id': message.eventId,
      'ce-type': 'files.v1.FileEvent',
      'ce-source': 'files.v1.FileService',
      'ce-subject': message.file?.s3Key ?? '',
    },
    body: JSON.stringify(toJson(DeliverFileEventRequestSchema, message)),
  });
  return status;
}
