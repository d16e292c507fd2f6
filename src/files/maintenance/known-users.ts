import type { FileRef } from '../file.ts';
import { parseOwnedKey, type S3Key, userPart, userPartOf } from '../rules/s3-key.ts';

/**
 * Finds the user of a key. If a user id is long, a key contains only the hash of the id, so an object without a row
 * does not name its user. Then another row of the user names the user, or the operator does. A header with the id that
 * the upload URL signs was rejected. Only uploads of users with long ids would need the header, so a client that sends
 * a fixed list of headers would fail for these users alone.
 */
export interface KnownUsers {
  addRow(row: FileRef): void;
  find(s3Key: S3Key): FileRef | undefined;
}

/**
 * Remembers only the ids that keys contain as hashes, so that the memory does not grow with the number of users.
 *
 * @param userIds the ids that the operator names
 */
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
