/**
 * `src/postgres` keeps file records in Postgres. It implements the ports `FileStore` and `RowInventory`, and
 * brings the schema up to date. `connection/` runs statements, `statements/` holds the SQL, `migrations/`
 * holds the schema.
 *
 * Rules about files (names, keys, states, limits) do not belong here: see `../files/`. Neither does anything
 * that calls S3.
 */
import type { Deadline } from '../files/deadline.ts';
import type { FileStore, Listed, UploadIntent } from '../files/ports.ts';
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

  async function tryToReserve(intent: UploadIntent, slot: number, deadline: Deadline) {
    const { userId, s3Key, filename, mimeType, fingerprint, size, parts } = intent;
    const params = {
      userId,
      s3Key,
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
      const [row] = await database.run(reservations.reserve, params, deadline);
      return row && { file: toFile(row), created: row.created };
    } catch (error) {
      // The slot is taken. The `update` that renews a pending file cannot say `on conflict`, so it fails.
      if (isUniqueViolation(error)) return undefined;
      throw error;
    }
  }

  return {
    async reserve(intent, deadline) {
      const { kind, limit, lowestSlot, highestSlot } = slotRangeFor(intent);
      const random = lowestSlot + Math.floor(Math.random() * limit);
      const reserved = await tryToReserve(intent, random, deadline);
      if (reserved !== undefined) return reserved;

      const { userId, s3Key } = intent;
      const fingerprint = fromFingerprint(intent.fingerprint);
      const conflictParams = { userId, s3Key, fingerprint, lowestSlot, highestSlot };
      const [conflict] = await database.run(reservations.explainConflict, conflictParams, deadline);
      if (conflict?.key_taken) return { refused: 'key taken' };
      const slot = conflict?.free_slot ?? (conflict?.created_concurrently ? random : undefined);
      if (slot === undefined) return { refused: 'too many pending', limit, kind };
      return (await tryToReserve(intent, slot, deadline)) ?? { refused: 'raced' };
    },

    async updateIntent({ size, ...intent }, deadline) {
      await database.run(reservations.updateIntent, { ...intent, size: size ?? null }, deadline);
    },

    async find({ userId, s3Key }, deadline) {
      const [row] = await database.run(reads.find, { userId, s3Key, verificationTtlSeconds }, deadline);
      return row && toFile(row);
    },

    async list({ after, ...query }, pendingLimit, deadline) {
      const params = { ...query, verificationTtlSeconds, examinedMax, pendingLimit };
      const nextParams = after && { ...params, afterTime: after.lastModified, afterKey: after.s3Key };
      if (query.filenamePrefix !== '') {
        return toListed(
          nextParams === undefined
            ? await database.run(reads.searchFirstPage, params, deadline)
            : await database.run(reads.searchNextPage, nextParams, deadline),
        );
      }
      const rows =
        nextParams === undefined
          ? await database.run(reads.listFirstPage, params, deadline)
          : await database.run(reads.listNextPage, nextParams, deadline);
      return { ...byState(rows), examinedTo: undefined };
    },

    async markReady({ userId, s3Key }, seen, deadline) {
      const [row] = await database.run(transitions.markReady, { userId, s3Key, ...seen }, deadline);
      return row && toReadyFile(row);
    },

    async markLost({ userId, s3Key, verifiedAt }, deadline) {
      await database.run(transitions.markLost, { userId, s3Key, verifiedAt }, deadline);
    },

    async markDeleted({ userId, s3Key }, deadline) {
      const [row] = await database.run(transitions.markDeleted, { userId, s3Key, ...limits }, deadline);
      return row && toTombstone(row);
    },

    async expireUpload({ userId, s3Key }, deadline) {
      const [row] = await database.run(transitions.expireUpload, { userId, s3Key, ...limits }, deadline);
      return row && toTombstone(row);
    },

    async clearSweep({ userId, s3Key }, deadline) {
      await database.run(transitions.clearSweep, { userId, s3Key }, deadline);
    },

    async findUpload({ userId, s3Key }, deadline) {
      const [row] = await database.run(uploads.findUpload, { userId, s3Key }, deadline);
      return row && toPendingUpload(row);
    },

    async renewUpload({ userId, s3Key }, deadline) {
      const [row] = await database.run(uploads.renewUpload, { userId, s3Key, ...limits }, deadline);
      return row && toPendingUpload(row);
    },

    async setUploadId({ userId, s3Key }, uploadId, before, deadline) {
      const params = { userId, s3Key, uploadId, before: before ?? null };
      const rows = await database.run(uploads.setUploadId, params, deadline);
      return rows.length === 1;
    },

    async leaseDue(limit, leaseSeconds, deadline) {
      const params = { limit, leaseSeconds, lastUser, ...limits };
      const rows = await database.run(sweeps.leaseDue, params, deadline);
      lastUser = rows[0]?.last_user ?? '';
      return rows.map(toDueFile);
    },

    async reschedule({ userId, s3Key }, deadline) {
      await database.run(sweeps.reschedule, { userId, s3Key, ...limits }, deadline);
    },

    async purge({ userId, s3Key }, deadline) {
      const rows = await database.run(sweeps.purge, { userId, s3Key, ...limits }, deadline);
      return rows.length === 1;
    },

    async oldestOverdueSeconds(deadline) {
      const [row] = await database.run(sweeps.oldestOverdue, {}, deadline);
      return row?.seconds ?? 0;
    },
  };
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
