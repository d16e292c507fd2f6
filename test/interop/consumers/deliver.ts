import { once } from 'node:events';
import { toBinary, toJsonString } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
  FileEventsService,
} from '../../../gen/files/v1/file_events_service_pb.ts';

const { typeName, method } = FileEventsService;
const PATH = `/${typeName}/${method.deliverFileEvent.name}`;

/**
 * Delivers an event READY as proto/files/v1/file_events_service.proto says, without the service.
 *
 * @returns the gRPC code or the HTTP status
 */
export function deliver(
  eventsUrl: string,
  token: string,
  event: DeliverFileEventRequest,
): Promise<string | number> {
  const headers = { authorization: `Bearer ${token}` };
  return eventsUrl.startsWith('grpc:') ? call(eventsUrl, headers, event) : post(eventsUrl, headers, event);
}

/** grpc-js sends a token with a blank at its end as it is, which `fetch` and Connect do not. */
async function call(
  eventsUrl: string,
  headers: Record<string, string>,
  event: DeliverFileEventRequest,
): Promise<string> {
  const client = new Client(new URL(eventsUrl).host, credentials.createInsecure());
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const toBytes = () => Buffer.from(toBinary(DeliverFileEventRequestSchema, event));
  try {
    const sent = client.makeUnaryRequest(
      PATH,
      toBytes,
      () => ({}),
      {},
      metadata,
      () => {},
    );
    const [{ code }] = await once(sent, 'status');
    return status[code] ?? `${code}`;
  } finally {
    client.close();
  }
}

async function post(
  eventsUrl: string,
  headers: Record<string, string>,
  event: DeliverFileEventRequest,
): Promise<number> {
  const response = await fetch(eventsUrl, {
    method: 'POST',
    headers: {
      ...headers,
      'content-type': 'application/json',
      'connect-protocol-version': '1',
      'ce-specversion': '1.0',
      'ce-id': event.eventId,
      'ce-type': 'files.v1.FileEvent.ready',
      'ce-source': '/files.v1.FileService',
      'ce-subject': event.file?.s3Key ?? '',
      ...(event.eventTime && { 'ce-time': timestampDate(event.eventTime).toISOString() }),
    },
    body: toJsonString(DeliverFileEventRequestSchema, event),
  });
  return response.status;
}
