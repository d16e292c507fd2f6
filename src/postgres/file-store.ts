/**
 * `src/postgres` keeps file records in Postgres. It implements the ports `FileStore` and `RowInventory`, and
 * brings the schema up to date. `connection/` runs statements, `statements/` holds the SQL, `migrations/`
 * holds the schema.
 *
 * Rules about files (names, keys, states, limits) do not belong here: see `../files/`. Neither does anything
 * that calls S3.
 */
import type { Call } from '../files/call.ts';
import type { FileStore, Listed, UploadIntent } from '../files/ports.ts';
import type { S3Key } from '../files/rules/s3-key.ts';
import type { Database } from './connection/database.ts';
import { isUniqueViolation } from './connection/error-classes.ts';
import {
  type FileRow,
  fromFingerprint,
  toDueFile,
  toFile,
  toPendingFile,
  toPendingUpload,
  toReadyFile,
  toTombstone,
} from './file-row.ts';
import type { RowKey } from './statements/expressions.ts';
import * as uploads from './statements/multipart.ts';
import * as reads from './statements/reads.ts';
import * as reservations from './statements/reservations.ts';
import * as sweeps from './statements/sweeps.ts';
import * as transitions from './statements/transitions.ts';

export interface StoreLimits {
  /** The lifetime of an upload URL. */
  urlSeconds: number;
  /** A multipart upload is kept for this time after the last request for it. */
  multipartSeconds: number;
  /** For this time after a verification of the object in S3, the service does not verify it again. */
  verificationTtlSeconds: number;
  /** A PUT that began before its URL expired may finish up to this time after the expiry. */
  longestUploadSeconds: number;
  /**
   * The cap on one user's pending uploads with a single PUT. A cancelled upload counts until its URL has
   * expired. At most 32,767, the largest smallint, because the column `pending_slot` is a smallint.
   */
  pendingMax: number;
  /**
   * The cap on one user's pending multipart uploads. At most 32,767 as well. Each upload keeps up to 160 kB
   * of MD5s in its row (10,000 parts of 16 bytes).
   */
  pendingMultipartMax: number;
  /** The maximum of files that one page of a list with a prefix examines. Default: 10,000. */
  examinedMax?: number;
}

/**
 * Takes 6 ms of Postgres if the rows are in its memory. Without the limit, a prefix search in a million files
 * took 300 ms.
 */
const EXAMINED_MAX = 10_000;

/** Implements `FileStore` with one statement per transition. The contract of each method stands on the port. */
export function createFileStore(database: Database, limits: StoreLimits): FileStore {
  const { verificationTtlSeconds, examinedMax = EXAMINED_MAX } = limits;
  /**
   * The last user that `leaseDue` examined: the next lease continues after this user. A restart loses the
   * value, and then only the order of the users begins anew.
   */
  let lastUser = '';

  /**
   * Each kind of upload has its own range of pending slots, so that its cap does not depend on the other
   * kind.
   */
  function slotRangeFor({ parts }: UploadIntent) {
    const { pendingMax, pendingMultipartMax } = limits;
    return parts === undefined
      ? { kind: 'single' as const, limit: pendingMax, lowestSlot: 1, highestSlot: pendingMax }
      : {
          kind: 'multipart' as const,
          limit: pendingMultipartMax,
          lowestSlot: -pendingMultipartMax,
          highestSlot: -1,
        };
  }

  async function tryToReserve(call: Call, intent: UploadIntent, slot: number) {
    const { s3Key, filename, mimeType, fingerprint, size, parts } = intent;
    const params = {
      ...rowKey(call, s3Key),
      filename,
      mimeType,
      verificationTtlSeconds,
      fingerprint: fromFingerprint(fingerprint),
      size: size ?? null,
      partSize: parts?.partSize ?? null,
      partMd5s: parts?.md5s ?? null,
      lifeSeconds: parts === undefined ? limits.urlSeconds : limits.multipartSeconds,
      slot,
    };
    try {
      const [row] = await database.run(call, reservations.reserve, params);
      return row && { file: toFile(row), created: row.created };
    } catch (error) {
      // The slot is taken. The `update` that renews a pending file cannot say `on conflict`, so it fails.
      if (isUniqueViolation(error)) return undefined;
      throw error;
    }
  }

  return {
    async reserve(call, intent) {
      const { kind, limit, lowestSlot, highestSlot } = slotRangeFor(intent);
      const random = lowestSlot + Math.floor(Math.random() * limit);
      const reserved = await tryToReserve(call, intent, random);
      if (reserved !== undefined) return reserved;

      const fingerprint = fromFingerprint(intent.fingerprint);
      const conflictParams = { ...rowKey(call, intent.s3Key), fingerprint, lowestSlot, highestSlot };
      const [conflict] = await database.run(call, reservations.explainConflict, conflictParams);
      if (conflict?.key_taken) return { refused: 'key taken' };
      const slot = conflict?.free_slot ?? (conflict?.created_concurrently ? random : undefined);
      if (slot === undefined) return { refused: 'too many pending', limit, kind };
      return (await tryToReserve(call, intent, slot)) ?? { refused: 'raced' };
    },

    async updateIntent(call, { s3Key, size, filename, mimeType }) {
      const params = { ...rowKey(call, s3Key), filename, mimeType, size: size ?? null };
      await database.run(call, reservations.updateIntent, params);
    },

    async find(call, s3Key) {
      const [row] = await database.run(call, reads.find, { ...rowKey(call, s3Key), verificationTtlSeconds });
      return row && toFile(row);
    },

    async list(call, { after, ...query }, pendingLimit) {
      const params = { ...query, userId: call.userId, verificationTtlSeconds, examinedMax, pendingLimit };
      const nextParams = after && { ...params, afterTime: after.lastModified, afterKey: after.s3Key };
      if (query.filenamePrefix !== '') {
        return toListed(
          nextParams === undefined
            ? await database.run(call, reads.searchFirstPage, params)
            : await database.run(call, reads.searchNextPage, nextParams),
        );
      }
      const rows =
        nextParams === undefined
          ? await database.run(call, reads.listFirstPage, params)
          : await database.run(call, reads.listNextPage, nextParams);
      return { ...byState(rows), examinedTo: undefined };
    },

    async markReady(call, s3Key, seen) {
      const [row] = await database.run(call, transitions.markReady, { ...rowKey(call, s3Key), ...seen });
      return row && toReadyFile(row);
    },

    async markLost(call, s3Key, verifiedAt) {
      await database.run(call, transitions.markLost, { ...rowKey(call, s3Key), verifiedAt });
    },

    async markDeleted(call, s3Key) {
      const [row] = await database.run(call, transitions.markDeleted, { ...rowKey(call, s3Key), ...limits });
      return row && toTombstone(row);
    },

    async expireUpload(call, s3Key) {
      const [row] = await database.run(call, transitions.expireUpload, { ...rowKey(call, s3Key), ...limits });
      return row && toTombstone(row);
    },

    async clearSweep(call, s3Key) {
      await database.run(call, transitions.clearSweep, rowKey(call, s3Key));
    },

    async findUpload(call, s3Key) {
      const [row] = await database.run(call, uploads.findUpload, rowKey(call, s3Key));
      return row && toPendingUpload(row);
    },

    async renewUpload(call, s3Key) {
      const [row] = await database.run(call, uploads.renewUpload, { ...rowKey(call, s3Key), ...limits });
      return row && toPendingUpload(row);
    },

    async setUploadId(call, s3Key, uploadId, before) {
      const params = { ...rowKey(call, s3Key), uploadId, before: before ?? null };
      const rows = await database.run(call, uploads.setUploadId, params);
      return rows.length === 1;
    },

    async leaseDue(work, limit, leaseSeconds) {
      const params = { limit, leaseSeconds, lastUser, ...limits };
      const rows = await database.run(work, sweeps.leaseDue, params);
      lastUser = rows[0]?.last_user ?? '';
      return rows.map(toDueFile);
    },

    async reschedule(call, s3Key) {
      await database.run(call, sweeps.reschedule, { ...rowKey(call, s3Key), ...limits });
    },

    async purge(call, s3Key) {
      const rows = await database.run(call, sweeps.purge, { ...rowKey(call, s3Key), ...limits });
      return rows.length === 1;
    },

    async oldestOverdueSeconds(work) {
      const [row] = await database.run(work, sweeps.oldestOverdue, {});
      return row?.seconds ?? 0;
    },
  };
}

function rowKey({ userId }: Call, s3Key: S3Key): RowKey {
  return { userId, s3Key };
}

function byState(rows: FileRow[]): Pick<Listed, 'ready' | 'pending'> {
  return {
    ready: rows.filter((row) => row.state === 'ready').map(toReadyFile),
    pending: rows.filter((row) => row.state === 'pending').map(toPendingFile),
  };
}

function toListed(rows: reads.ExaminedRow[]): Listed {
  const last = rows.find((row) => row.is_last_examined);
  return { ...byState(rows.filter((row) => row.matches)), examinedTo: last && toReadyFile(last) };
}
