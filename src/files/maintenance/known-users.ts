import type { FileRef } from '../file.ts';
import { parseOwnedKey, type S3Key, userPart, userPartOf } from '../rules/s3-key.ts';

/**
 * Finds the user of a key. A long user id is only hashed in a key, so an object without a row does not name its user.
 * Another row of the user does, or the operator. A signed header with the id would name the user too, but only the
 * uploads of such users would need it: a client that was written for two headers would fail for these users alone.
 */
export interface KnownUsers {
  addRow(row: FileRef): void;
  find(s3Key: S3Key): FileRef | undefined;
}

/** The memory holds the ids that are hashed in keys, and no others. */
export function createKnownUsers(userIds: readonly string[] = []): KnownUsers {
  const ids = new Map(userIds.map((userId) => [userPart(userId), userId]));
  return {
    addRow({ userId, s3Key }) {
      if (parseOwnedKey(s3Key)?.userId === undefined) ids.set(userPartOf(s3Key), userId);
    },
    find(s3Key) {
      const userId = parseOwnedKey(s3Key)?.userId ?? ids.get(userPartOf(s3Key));
      return userId === undefined ? undefined : { userId, s3Key };
    },
  };
}
