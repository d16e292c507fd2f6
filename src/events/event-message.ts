import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
  FileChange,
} from '../../gen/files/v1/file_events_service_pb.ts';
import type { FileChange as ChangeName, FileEvent } from '../files/ports/event-queue.ts';
import { announcedFileToProto } from '../rpc/to-proto.ts';

const CHANGES = {
  ready: FileChange.READY,
  deleted: FileChange.DELETED,
  lost: FileChange.LOST,
  expired: FileChange.EXPIRED,
} satisfies Record<ChangeName, FileChange>;

/** The message that the consumer receives for an event. Its id is the same whenever this revision is delivered. */
export function eventToProto({
  userId,
  s3Key,
  change,
  file,
  revision,
  changedAt,
}: FileEvent): DeliverFileEventRequest {
  const message = create(DeliverFileEventRequestSchema);
  message.eventId = `${s3Key}:${revision}`;
  message.userId = userId;
  message.change = CHANGES[change];
  message.file = announcedFileToProto(file, change === 'ready');
  message.revision = BigInt(revision);
  message.eventTime = timestampFromDate(changedAt);
  return message;
}
