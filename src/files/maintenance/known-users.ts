import type { FileRef } from '../file.ts';
import { parseOwnedKey, type S3Key, userPart, userPartOf } from '../rules/s3-key.ts';

/**
 * Finds the user to whom a key belongs. A key contains the id of the user, or only a hash of the id if the id is long.
 * A hash does not show the id. Then another row of the user shows it, or the operator names it (`--user-ids`).
 *
 * The service could instead store the id in S3, as a header that the upload URL signs. This was rejected: only users
 * with long ids would need the header, so a client that sends a fixed list of headers would fail for these users alone.
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
