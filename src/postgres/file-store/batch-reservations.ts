import type { Call } from '../../files/call.ts';
import type { UserFile } from '../../files/file.ts';
import type { BatchReservations, Reservation, UploadIntent } from '../../files/ports/reservations.ts';
import type { Fingerprint } from '../../files/rules/fingerprint.ts';
import type { S3Key } from '../../files/rules/s3-key.ts';
import type { Database } from '../connection/database.ts';
import { type FileRow, fromFingerprint, toFile } from '../file-row.ts';
import * as statements from '../statements/batch-reservations.ts';
import type { StoreLimits } from '../store-limits.ts';

type FilesByContent = ReadonlyMap<Fingerprint, UserFile>;

/**
 * Implements the port `BatchReservations`: finds or creates the rows of many uploads with one to seven statements,
 * however many the uploads are. Each pending upload of a user holds a slot (column `pending_slot`), a number from 1 to
 * `pendingMax`. The slots make the limit of a user's pending uploads exact.
 */
export function createBatchReservations(database: Database, limits: StoreLimits): BatchReservations {
  const { verificationTtlSeconds, urlSeconds: lifeSeconds, pendingMax } = limits;

  async function findContents(call: Call, intents: readonly UploadIntent[]) {
    const { userId } = call;
    const params = { userId, fingerprints: intents.map(toBytes), verificationTtlSeconds };
    return byContent(await database.run(call, statements.findContents, params));
  }

  /** Starts the lifetime of the URLs of PENDING files again. Returns the files for which that was possible. */
  async function renewPending(call: Call, files: FilesByContent): Promise<FilesByContent> {
    const pending = [...files.values()].filter(({ state }) => state === 'pending');
    if (pending.length === 0) return new Map();
    const s3Keys = pending.map(({ s3Key }) => s3Key).sort();
    const params = { userId: call.userId, s3Keys, lifeSeconds };
    return byContent(await database.run(call, statements.renewMany, params));
  }

  async function findTakenKeys(call: Call, intents: readonly UploadIntent[]): Promise<Set<S3Key>> {
    if (intents.length === 0) return new Set();
    const params = { userId: call.userId, s3Keys: intents.map(({ s3Key }) => s3Key) };
    const rows = await database.run(call, statements.findKeys, params);
    return new Set(rows.map(({ s3_key }) => s3_key as S3Key));
  }

  /** @returns the reservation of each intent; `undefined` for an intent that got no slot because too few were free */
  async function create(call: Call, intents: readonly UploadIntent[]): Promise<(Reservation | undefined)[]> {
    if (intents.length === 0) return [];
    const rows = await database.run(call, statements.createMany, {
      userId: call.userId,
      lowestSlot: 1,
      highestSlot: pendingMax,
      lifeSeconds,
      s3Keys: intents.map(({ s3Key }) => s3Key),
      fingerprints: intents.map(toBytes),
      filenames: intents.map(({ filename }) => filename),
      mimeTypes: intents.map(({ mimeType }) => mimeType),
      sizes: intents.map(({ size }) => size ?? null),
    });
    const freeSlots = rows[0]?.free_slots ?? 0;
    const created = byContent(rows.filter((row): row is FileRow & typeof row => row.s3_key !== null));
    return intents.map(({ fingerprint }, index) => {
      const file = created.get(fingerprint);
      if (file !== undefined) return { file, created: true };
      return index < freeSlots ? { refused: 'contention' } : undefined;
    });
  }

  /** Like `create`. If the free slots do not suffice, releases the slots of expired uploads and tries again. */
  async function createInFreeSlots(call: Call, intents: readonly UploadIntent[]): Promise<Reservation[]> {
    const reservations = await create(call, intents);
    const firstWithout = reservations.indexOf(undefined);
    if (firstWithout === -1) return reservations.flatMap((reservation) => reservation ?? []);
    const without = intents.slice(firstWithout);
    const released = await database.run(call, statements.releaseSlots, { userId: call.userId });
    const again = released.length === 0 ? [] : await create(call, without);
    // A concurrent call may have created some of the files. Such a file is no reason to tell the user of the limit.
    const found = await findContents(call, without);
    const rest = without.map(({ fingerprint }, index): Reservation => {
      if (again[index] !== undefined) return again[index];
      return found.has(fingerprint)
        ? { refused: 'contention' }
        : { refused: 'too many pending', kind: 'single', limit: pendingMax };
    });
    return [...reservations.slice(0, firstWithout).flatMap((reservation) => reservation ?? []), ...rest];
  }

  return {
    async reserveMany(call, intents) {
      const found = await findContents(call, intents);
      const renewed = await renewPending(call, found);
      const missing = intents.filter(({ fingerprint }) => !found.has(fingerprint));
      const taken = await findTakenKeys(call, missing);
      // Of several new files with one key, the first gets the key.
      const byKey = Map.groupBy(missing, ({ s3Key }) => s3Key);
      const fresh = [...byKey].flatMap(([s3Key, [first]]) => (first && !taken.has(s3Key) ? first : []));
      const created = await createInFreeSlots(call, fresh);
      const createdFor = new Map(fresh.map((intent, index) => [intent, created[index]]));

      return intents.map((intent): Reservation => {
        const { fingerprint } = intent;
        const file = renewed.get(fingerprint) ?? found.get(fingerprint);
        if (file?.state === 'pending' && !renewed.has(fingerprint)) return { refused: 'contention' };
        if (file !== undefined) return { file, created: false };
        return createdFor.get(intent) ?? { refused: 'key taken' };
      });
    },
  };
}

function toBytes({ fingerprint }: UploadIntent): Buffer {
  return fromFingerprint(fingerprint);
}

function byContent(rows: readonly FileRow[]): FilesByContent {
  return new Map(rows.map(toFile).map((file) => [file.fingerprint, file]));
}
