import { toJsonString } from '@bufbuild/protobuf';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
} from '../gen/es/files/v1/file_events_service_pb.ts';

const seen = new Set<string>();

/** Prints each delivery. Refuses the first delivery of an event of a file that is named for that. */
export async function handle(event: DeliverFileEventRequest): Promise<void> {
  process.stdout.write(`${toJsonString(DeliverFileEventRequestSchema, event)}\n`);
  const isAgain = seen.has(event.eventId);
  seen.add(event.eventId);
  if (!isAgain && event.file?.s3Key.includes('refuse-once')) throw new Error('refused once');
}
