import type { DescMethod } from '@bufbuild/protobuf';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';

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

/** The bytes of request messages that are in memory, of all calls together. `undefined` is a caller without proof. */
export interface MessageBudget {
  /** Bytes that are taken at present. */
  readonly takenBytes: number;
  /** @returns `false` when there is not so much left for this user; nothing is taken then */
  take(userId: string | undefined, bytes: number): boolean;
  giveBack(userId: string | undefined, bytes: number): void;
}

/** A message becomes up to twenty times larger when it is decoded; 16 MiB are a thousand of ordinary size. */
export const MESSAGES_MAX_BYTES = 16 * 1024 * 1024;

/**
 * A user may hold as much as is free, by the rule of admission (`admission.ts`): half of everything when alone. Callers
 * without proof are one user together. In one pot for all, the half-open requests of one user, or health checks without
 * proof, kept everyone's messages out.
 */
export function createMessageBudget(maxBytes = MESSAGES_MAX_BYTES): MessageBudget {
  let takenBytes = 0;
  /** Only users who have taken something, so that it does not grow with the number of users. */
  const takenBy = new Map<string | undefined, number>();
  return {
    get takenBytes() {
      return takenBytes;
    },
    take(userId, bytes) {
      const own = takenBy.get(userId) ?? 0;
      if (own + bytes > maxBytes - takenBytes) return false;
      takenBytes += bytes;
      takenBy.set(userId, own + bytes);
      return true;
    },
    giveBack(userId, bytes) {
      takenBytes -= bytes;
      const others = (takenBy.get(userId) ?? 0) - bytes;
      if (others > 0) takenBy.set(userId, others);
      else takenBy.delete(userId);
    },
  };
}
