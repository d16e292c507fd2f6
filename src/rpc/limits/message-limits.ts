/**
 * The maximum size of a request message after inflation. Each method has the smallest limit that its largest
 * honest request needs. The larger a message is, the more memory and time it may cost before it is decoded.
 */
import type { DescMethod } from '@bufbuild/protobuf';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';

/**
 * The limit of all methods that are not in LARGE_MESSAGES. The longest fields of their requests add up to 5 kB:
 * 500 part numbers, a key, a page token, JSON escapes.
 */
export const MESSAGE_MAX_BYTES = 16 * 1024;

/**
 * The maximum number of bytes that a client may send on one stream of reflection, in all messages together. Tools ask
 * fewer than thirty questions of less than 100 bytes. Without this limit, 1,000 streams with unfinished messages of
 * 185 KiB held 126 MB.
 */
export const STREAM_REQUEST_MAX_BYTES = 16 * 1024;

export type MessageEncoding = 'binary' | 'json';

/** The limits of methods with long lists. */
const LARGE_MESSAGES: Partial<Record<keyof typeof FileService.method, Record<MessageEncoding, number>>> = {
  // A filename and the MD5s of up to 10,000 parts. Each MD5 takes 18 bytes in binary and 27 bytes in JSON.
  createMultipartUpload: { binary: 192 * 1024, json: 288 * 1024 },
  // 1,000 files with names of 255 bytes, which most file systems allow, and types of 100 bytes, take 410 bytes each in
  // binary. JSON adds 60 bytes of field names, and escapes a character of three bytes in six.
  batchCreatePresignedUploads: { binary: 512 * 1024, json: 768 * 1024 },
  // 1,000 keys of 240 bytes.
  batchGetFiles: { binary: 256 * 1024, json: 256 * 1024 },
};

/** The largest message of any method. */
export const LARGEST_MESSAGE_BYTES: Record<MessageEncoding, number> = {
  binary: Math.max(...Object.values(LARGE_MESSAGES).map(({ binary }) => binary)),
  json: Math.max(...Object.values(LARGE_MESSAGES).map(({ json }) => json)),
};

/**
 * The length of the prefix before each message: one byte that tells whether the message is compressed, and
 * four bytes of message length (gRPC over HTTP2, "Length-Prefixed-Message").
 */
export const MESSAGE_PREFIX_BYTES = 5;

/** The largest request message of a method, in bytes. */
export function messageMaxBytes(method: DescMethod, encoding: MessageEncoding): number {
  if (method.parent !== FileService) return MESSAGE_MAX_BYTES;
  return LARGE_MESSAGES[method.localName as keyof typeof FileService.method]?.[encoding] ?? MESSAGE_MAX_BYTES;
}

/**
 * The maximum number of bytes that all request messages in memory may have together: a thousand messages of
 * MESSAGE_MAX_BYTES. The objects of decoded messages take further memory, which `message-values.ts` limits for each
 * large message.
 *
 * Each user may take only a share of these bytes (`src/overload/shared-capacity.ts`). Without shares, one user could
 * take all of the bytes with unfinished requests. So could the callers of the health check, which need not authenticate
 * as a gateway (the trusted caller that names the user). The service would then refuse the messages of all other users.
 */
export const MESSAGES_MAX_BYTES = 16 * 1024 * 1024;
