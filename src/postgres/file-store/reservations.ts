import type { Call } from '../../files/call.ts';
import type { Reservations, UploadIntent } from '../../files/ports/reservations.ts';
import type { Database } from '../connection/database.ts';
import { isUndefinedColumn, isUniqueViolation } from '../connection/error-classes.ts';
import { fromFingerprint, toFile } from '../file-row.ts';
import { formFor } from '../statements/forms.ts';
import * as statements from '../statements/reservations.ts';
import type { StoreLimits } from '../store-limits.ts';
import { rowKey } from './row-key.ts';

export function createReservations(database: Database, limits: StoreLimits): Reservations {
  const form = formFor(limits);

  async function tryToReserve(call: Call, intent: UploadIntent, slot: number) {
    const { s3Key, filename, mimeType, fingerprint, size, parts } = intent;
    const params = {
      ...rowKey(call, s3Key),
      filename,
      mimeType,
      verificationTtlSeconds: limits.verificationTtlSeconds,
      fingerprint: fromFingerprint(fingerprint),
      size: size ?? null,
      partSize: parts?.partSize ?? null,
      partMd5s: parts?.md5s ?? null,
      lifeSeconds: parts === undefined ? limits.urlSeconds : limits.multipartSeconds,
      slot,
    };
    try {
      const [row] = await database.run(call, statements.reserve[form], params);
      return row && { file: toFile(row), created: row.created };
    } catch (error) {
      // Another file has the slot (`pending_slot` in ../schema.ts), so this try reserved nothing. The `update` that
      // renews a pending file then throws, because SQL has `on conflict` only for an `insert`.
      if (isUniqueViolation(error)) return undefined;
      throw error;
    }
  }

  return {
    async reserve(call, intent) {
      const { kind, limit, lowestSlot, highestSlot } = slotRangeFor(intent, limits);
      const random = lowestSlot + Math.floor(Math.random() * limit);
      const reserved = await tryToReserve(call, intent, random);
      if (reserved !== undefined) return reserved;

      const fingerprint = fromFingerprint(intent.fingerprint);
      const conflictParams = { ...rowKey(call, intent.s3Key), fingerprint, lowestSlot, highestSlot };
      const [conflict] = await database.run(call, statements.explainConflict, conflictParams);
      if (conflict?.key_taken) return { refused: 'key taken' };
      const slot = conflict?.free_slot ?? (conflict?.created_concurrently ? random : undefined);
      if (slot === undefined) return { refused: 'too many pending', limit, kind };
      return (await tryToReserve(call, intent, slot)) ?? { refused: 'contention' };
    },

    async updateIntent(call, { s3Key, size, filename, mimeType }) {
      const params = { ...rowKey(call, s3Key), filename, mimeType, size: size ?? null };
      try {
        await database.run(call, statements.updateIntent, params);
      } catch (error) {
        if (!isUndefinedColumn(error)) throw error;
        await database.run(call, statements.updateIntentBefore0002, params);
      }
    },
  };
}

/**
 * Returns the slots that a pending upload of this kind may take. A slot is a number that counts against the cap on the
 * user's pending uploads. Uploads with one PUT and multipart uploads have separate ranges, so that the number of one
 * kind does not reduce the number that is allowed for the other kind.
 */
function slotRangeFor({ parts }: UploadIntent, { pendingMax, pendingMultipartMax }: StoreLimits) {
  return parts === undefined
    ? { kind: 'single' as const, limit: pendingMax, lowestSlot: 1, highestSlot: pendingMax }
    : {
        kind: 'multipart' as const,
        limit: pendingMultipartMax,
        lowestSlot: -pendingMultipartMax,
        highestSlot: -1,
      };
}
