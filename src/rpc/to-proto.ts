import { create } from '@bufbuild/protobuf';
import { type Timestamp, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type File, FileSchema, FileState } from '../../gen/files/v1/file_pb.ts';
import type { UserFile } from '../files/file.ts';
import { md5Of } from '../files/rules/fingerprint.ts';

/** The message that callers receive for a file. */
export function fileToProto(file: UserFile): File {
  const message = create(FileSchema);
  message.s3Key = file.s3Key;
  message.filename = file.filename;
  message.size = BigInt(file.size ?? 0);
  message.mimeType = file.mimeType;
  message.md5 = md5Of(file.fingerprint) ?? '';
  message.createTime = timestampFromDate(file.createTime);
  message.state = file.state === 'ready' ? FileState.READY : FileState.PENDING;
  if (file.state === 'ready') {
    message.lastModified = timestampFromDate(file.lastModified);
    message.etag = file.etag;
  }
  return message;
}

export function timeToProto(time: Date): Timestamp {
  return timestampFromDate(time);
}
