import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type File, FileSchema, FileState } from '../../gen/files/v1/file_pb.ts';
import {
  type BatchCreatePresignedUploadsResponse_ResultSchema,
  CreatePresignedUploadResponseSchema,
  UploadType,
} from '../../gen/files/v1/file_service_pb.ts';
import type { UserFile } from '../files/file.ts';
import type { UploadResult } from '../files/operations/batch-create-presigned-uploads.ts';
import type { UploadAnswer } from '../files/operations/create-presigned-upload.ts';
import type { AnnouncedFile } from '../files/ports/event-queue.ts';
import { md5Of } from '../files/rules/fingerprint.ts';
import { statusOf, toConnectError } from './errors.ts';

/** The message that callers receive for a file. */
export function fileToProto(file: UserFile): File {
  const message = factsToProto(file);
  message.state = file.state === 'ready' ? FileState.READY : FileState.PENDING;
  return message;
}

/** The message that the consumer of events receives for a file: for a READY file, what `fileToProto` returns. */
export function announcedFileToProto(file: AnnouncedFile, isReady: boolean): File {
  const message = factsToProto(file);
  if (isReady) message.state = FileState.READY;
  return message;
}

function factsToProto(file: UserFile | AnnouncedFile): File {
  const message = create(FileSchema);
  message.s3Key = file.s3Key;
  message.filename = file.filename;
  message.size = BigInt(file.size ?? 0);
  message.mimeType = file.mimeType;
  message.md5 = md5Of(file.fingerprint) ?? '';
  message.createTime = timestampFromDate(file.createTime);
  if ('lastModified' in file && file.lastModified)
    message.lastModified = timestampFromDate(file.lastModified);
  if ('etag' in file && file.etag !== undefined) message.etag = file.etag;
  return message;
}

export function uploadToProto(
  answer: UploadAnswer,
): MessageInitShape<typeof CreatePresignedUploadResponseSchema> {
  const { s3Key, md5 } = answer;
  if (answer.type === 'existing') return { type: UploadType.EXISTING, s3Key, md5 };
  const { url, requiredHeaders, expireTime } = answer.upload;
  return {
    type: UploadType.NEW,
    s3Key,
    md5,
    presignedUrl: url,
    requiredHeaders,
    expireTime: timestampFromDate(expireTime),
  };
}

export function uploadResultToProto(
  result: UploadResult,
): MessageInitShape<typeof BatchCreatePresignedUploadsResponse_ResultSchema> {
  return result.status === 'fulfilled'
    ? {
        result: {
          case: 'response',
          value: create(CreatePresignedUploadResponseSchema, uploadToProto(result.value)),
        },
      }
    : { result: { case: 'status', value: statusOf(toConnectError(result.reason)) } };
}
