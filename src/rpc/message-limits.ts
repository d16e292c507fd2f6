import type { DescMethod } from '@bufbuild/protobuf';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';

/**
 * How large a request message may be, after it has been inflated. Every method has the least that its largest honest
 * request needs: what a message may cost in memory and time before it is understood grows with its size.
 */

/** The longest fields of any request but one add up to 6 kB: 1,000 part numbers, a key, a page token, JSON escapes. */
export const MESSAGE_MAX_BYTES = 16 * 1024;

/** CreateMultipartUpload has the MD5s of up to 10,000 parts: 18 bytes each in binary, 27 in JSON, and a name. */
export const PARTS_MESSAGE_MAX_BYTES = { binary: 192 * 1024, json: 288 * 1024 };

export type MessageEncoding = keyof typeof PARTS_MESSAGE_MAX_BYTES;

/** The largest request message of a method, in bytes. */
export function messageMaxBytes(method: DescMethod, encoding: MessageEncoding): number {
  return method === FileService.method.createMultipartUpload
    ? PARTS_MESSAGE_MAX_BYTES[encoding]
    : MESSAGE_MAX_BYTES;
}

/** The bytes of request messages that are in memory, of all calls together. */
export interface MessageBudget {
  /** Bytes that are taken at present. */
  readonly takenBytes: number;
  /** @returns `false` when there is not so much left; nothing is taken then */
  take(bytes: number): boolean;
  giveBack(bytes: number): void;
}

/** A message becomes up to twenty times larger when it is decoded; 16 MiB are a thousand of ordinary size. */
export const MESSAGES_MAX_BYTES = 16 * 1024 * 1024;

export function createMessageBudget(maxBytes = MESSAGES_MAX_BYTES): MessageBudget {
  let takenBytes = 0;
  return {
    get takenBytes() {
      return takenBytes;
    },
    take(bytes) {
      if (takenBytes + bytes > maxBytes) return false;
      takenBytes += bytes;
      return true;
    },
    giveBack(bytes) {
      takenBytes -= bytes;
    },
  };
}
