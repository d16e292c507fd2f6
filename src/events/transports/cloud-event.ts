import { timestampDate } from '@bufbuild/protobuf/wkt';
import {
  type DeliverFileEventRequest,
  FileChange,
  type FileChange as FileChangeValue,
} from '../../../gen/files/v1/file_events_service_pb.ts';

/**
 * The attribute `type` of a CloudEvent for each change. A consumer chooses by it without parsing the body.
 */
const TYPES: Partial<Record<FileChangeValue, string>> = {
  [FileChange.READY]: 'files.v1.FileEvent.ready',
  [FileChange.DELETED]: 'files.v1.FileEvent.deleted',
  [FileChange.LOST]: 'files.v1.FileEvent.lost',
  [FileChange.EXPIRED]: 'files.v1.FileEvent.expired',
};

/** The attribute `source`: the same for all events, because the id alone is different for each event. */
const SOURCE = '/files.v1.FileService';

/**
 * Returns the attributes of an event as HTTP headers: the binary content mode of CloudEvents 1.0. The body of the
 * request is the data.
 *
 * | header | value |
 * |---|---|
 * | `ce-specversion` | `1.0` |
 * | `ce-id` | `event_id`: the same for every delivery of the event |
 * | `ce-type` | `files.v1.FileEvent.ready`, `….deleted`, `….lost` or `….expired` |
 * | `ce-source` | `/files.v1.FileService` |
 * | `ce-subject` | the key of the file in S3 |
 * | `ce-time` | `event_time`, as in `2026-11-27T04:35:00.123Z` |
 */
export function cloudEventHeaders(message: DeliverFileEventRequest): Record<string, string> {
  return {
    'ce-specversion': '1.0',
    'ce-id': attribute(message.eventId),
    'ce-type': TYPES[message.change] ?? 'files.v1.FileEvent',
    'ce-source': SOURCE,
    'ce-subject': attribute(message.file?.s3Key ?? ''),
    ...(message.eventTime && { 'ce-time': timestampDate(message.eventTime).toISOString() }),
  };
}

/**
 * Encodes a value as the HTTP binding of CloudEvents (3.1.3.2) demands: all characters but visible ASCII, and also `"`
 * and `%`, become percent-encoded UTF-8. Keys that the service makes consist of other characters. The encoding keeps
 * the header legal also for a key that another program wrote into the table.
 */
function attribute(value: string): string {
  return value.replace(/[^\x21\x23\x24\x26-\x7e]+/gu, (text) =>
    [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}
