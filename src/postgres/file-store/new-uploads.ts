import type { Call } from '../../files/call.ts';
import type { Reservation, UploadIntent } from '../../files/ports/reservations.ts';
import type { Database } from '../connection/database.ts';
import { type FileRow, fromFingerprint, toFile } from '../file-row.ts';
import * as statements from '../statements/batch-reservations.ts';
import { formFor } from '../statements/forms.ts';
import type { StoreLimits } from '../store-limits.ts';

/**
 * Returns a function that creates many pending uploads, in the slots that are free. A slot is a number that counts
 * against the cap on the user's pending uploads (`pending_slot` in ../schema.ts).
 */
export function createNewUploads(
  database: Database,
  limits: StoreLimits,
): (call: Call, intents: readonly UploadIntent[]) => Promise<(Reservation | undefined)[]> {
  const { urlSeconds: lifeSeconds, pendingMax } = limits;
  const slots = { lowestSlot: 1, highestSlot: pendingMax };

  async function create(call: Call, intents: readonly UploadIntent[]) {
    if (intents.length === 0) return [];
    const rows = await database.run(call, statements.createMany[formFor(limits)], {
      userId: call.userId,
      ...slots,
      lifeSeconds,
      s3Keys: intents.map(({ s3Key }) => s3Key),
      fingerprints: intents.map(({ fingerprint }) => fromFingerprint(fingerprint)),
      filenames: intents.map(({ filename }) => filename),
      mimeTypes: intents.map(({ mimeType }) => mimeType),
      sizes: intents.map(({ size }) => size ?? null),
    });
    const freeSlots = rows[0]?.free_slots ?? 0;
    const files = rows.filter((row): row is FileRow & typeof row => row.s3_key !== null).map(toFile);
    const byContent = new Map(files.map((file) => [file.fingerprint, file]));
    return intents.map(({ fingerprint }, index): Reservation | undefined => {
      const file = byContent.get(fingerprint);
      if (file !== undefined) return { file, created: true };
      return index < freeSlots ? { refused: 'contention' } : undefined;
    });
  }

  /**
   * If the free slots do not suffice, releases the slots of expired uploads and tries again.
   *
   * @returns the reservations in the order of the intents; `undefined` for each intent for which the limit leaves no slot
   */
  return async (call, intents) => {
    const reservations = await create(call, intents);
    const firstWithout = reservations.indexOf(undefined);
    if (firstWithout === -1) return reservations;
    const [row] = await database.run(call, statements.releaseSlots, { userId: call.userId, ...slots });
    const freeSlots = row?.free_slots ?? 0;
    if (freeSlots === 0) return reservations;
    const again = await create(call, intents.slice(firstWithout));
    // An intent within the limit has no slot yet only if another session is releasing one, or has just taken one.
    const settled = again.map((one, index) => one ?? (index < freeSlots ? CONTENTION : undefined));
    return [...reservations.slice(0, firstWithout), ...settled];
  };
}

const CONTENTION: Reservation = { refused: 'contention' };
