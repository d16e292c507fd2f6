import type { FileStore } from '../files/ports.ts';
import type { Database } from './database.ts';
import { toFile, toPendingFile, toReadyFile } from './file-row.ts';
import * as statements from './statements.ts';

/** What the protocol's windows are, in seconds. */
export interface StoreWindows {
  /** An upload URL's life. */
  urlSeconds: number;
  /** How long a look at S3 is believed. */
  trustSeconds: number;
  /** How long after a URL's end a PUT that began in time may still land. */
  longestUploadSeconds: number;
}

/** The port, one statement per method. What each promises stands on the port. */
export function createFileStore(database: Database, windows: StoreWindows): FileStore {
  return {
    async reserve({ md5, size, ...intent }) {
      const [row] = await database.run(statements.reserve, {
        ...intent,
        ...windows,
        fingerprint: Buffer.from(md5, 'base64'),
        size: size ?? null,
      });
      return row && { file: toFile(row), created: row.created };
    },

    async adopt({ md5: _, size, ...intent }) {
      await database.run(statements.adopt, { ...intent, size: size ?? null });
    },

    async find(ref) {
      const [row] = await database.run(statements.find, { ...ref, ...windows });
      return row && toFile(row);
    },

    async list({ after, ...query }, pendingLimit) {
      const rows =
        after === undefined
          ? await database.run(statements.listFirstPage, { ...query, ...windows, pendingLimit })
          : await database.run(statements.listNextPage, {
              ...query,
              ...windows,
              afterTime: after.lastModified,
              afterKey: after.s3Key,
            });
      return {
        ready: rows.filter((row) => row.state === 'ready').map(toReadyFile),
        pending: rows.filter((row) => row.state === 'pending').map(toPendingFile),
      };
    },

    async markReady({ userId, s3Key }, seen) {
      const [row] = await database.run(statements.markReady, { userId, s3Key, ...seen });
      return row && toReadyFile(row);
    },

    async markLost({ userId, s3Key }) {
      await database.run(statements.markLost, { userId, s3Key, ...windows });
    },

    async markDeleted(ref) {
      const rows = await database.run(statements.markDeleted, ref);
      return rows.length === 1;
    },

    async claimDue(limit, leaseSeconds) {
      const rows = await database.run(statements.claimDue, { limit, leaseSeconds, ...windows });
      return rows.map((row) =>
        row.state === 'deleted'
          ? { state: 'deleted', ref: { userId: row.user_id, s3Key: row.s3_key }, settled: row.settled }
          : { state: 'pending', file: toPendingFile(row), settled: row.settled },
      );
    },

    async postpone({ userId, s3Key }) {
      await database.run(statements.postpone, { userId, s3Key, ...windows });
    },

    async forget({ userId, s3Key }) {
      const rows = await database.run(statements.forget, { userId, s3Key, ...windows });
      return rows.length === 1;
    },

    async oldestOverdueSeconds() {
      const [row] = await database.run(statements.oldestOverdue, {});
      return row?.seconds ?? 0;
    },
  };
}
