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
  /** An upload URL's life. */
  urlSeconds: number;
  /** An upload in parts is kept so long after it was last asked for. */
  multipartSeconds: number;
  /** How long a look at S3 is believed. */
  verificationTtlSeconds: number;
  /** How long after a URL's end a PUT that began in time may still land. */
  longestUploadSeconds: number;
  /** Pending uploads of one user with a single PUT, and cancelled ones, whose URLs live. At most 32,767, as the next. */
  pendingMax: number;
  /** The same of uploads in parts, each of which keeps up to 160 kB in its row. */
  pendingMultipartMax: number;
  /** Files that a page of a prefix walks through. Default: 10,000. */
  examinedMax?: number;
}

/** As long as any list may take: 6 ms of Postgres where the rows are in its memory. All of a million took 300 ms. */
const EXAMINED_MAX = 10_000;

/** The port, in one statement per transition. What each method promises stands on the port. */
export function createFileStore(database: Database, limits: StoreLimits): FileStore {
  const { verificationTtlSeconds, examinedMax = EXAMINED_MAX } = limits;
  /** Behind which user the next claim begins its round; lost with the process, which costs nothing but a turn. */
  let lastUser = '';

  /** The two kinds of uploads hold slots of their own, so neither takes a place of the other's. */
  function slotsFor({ parts }: UploadIntent) {
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
      // A renewal cannot say `on conflict`: the slot that it was to get is taken.
      if (isUniqueViolation(error)) return undefined;
      throw error;
    }
  }

  return {
    async reserve(intent, deadline) {
      const { kind, limit, lowestSlot, highestSlot } = slotsFor(intent);
      const random = lowestSlot + Math.floor(Math.random() * limit);
      const reserved = await tryToReserve(intent, random, deadline);
      if (reserved !== undefined) return reserved;

      const { userId, s3Key } = intent;
      const fingerprint = fromFingerprint(intent.fingerprint);
      const sought = { userId, s3Key, fingerprint, lowestSlot, highestSlot };
      const [conflict] = await database.run(reservations.explainConflict, sought, deadline);
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
      const behind = after && { ...params, afterTime: after.lastModified, afterKey: after.s3Key };
      if (query.filenamePrefix !== '') {
        return toListed(
          behind === undefined
            ? await database.run(reads.searchFirstPage, params, deadline)
            : await database.run(reads.searchNextPage, behind, deadline),
        );
      }
      const rows =
        behind === undefined
          ? await database.run(reads.listFirstPage, params, deadline)
          : await database.run(reads.listNextPage, behind, deadline);
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
