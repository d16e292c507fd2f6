import type { Call } from '../../files/call.ts';
import type { UserFile } from '../../files/file.ts';
import type { BatchReservations, Reservation, UploadIntent } from '../../files/ports/reservations.ts';
import type { Fingerprint } from '../../files/rules/fingerprint.ts';
import type { S3Key } from '../../files/rules/s3-key.ts';
import type { Database } from '../connection/database.ts';
import { type FileRow, fromFingerprint, toFile } from '../file-row.ts';
import * as statements from '../statements/batch-reservations.ts';
import type { StoreLimits } from '../store-limits.ts';
import { createNewUploads } from './new-uploads.ts';

type FilesByContent = ReadonlyMap<Fingerprint, UserFile>;

/**
 * Implements the port `BatchReservations`: finds or creates the rows of many uploads with one to seven statements,
 * however many the uploads are. An intent is an upload that a user asked for, before any byte was sent. Each pending
 * upload of a user holds a slot (column `pending_slot`), a number from 1 to `pendingMax`. The slots make the limit of a
 * user's pending uploads exact.
 */
export function createBatchReservations(database: Database, limits: StoreLimits): BatchReservations {
  const { verificationTtlSeconds, urlSeconds: lifeSeconds, pendingMax } = limits;
  const create = createNewUploads(database, limits);

  async function findContents(call: Call, intents: readonly UploadIntent[]): Promise<FilesByContent> {
    if (intents.length === 0) return new Map();
    const fingerprints = intents.map(({ fingerprint }) => fromFingerprint(fingerprint));
    const params = { userId: call.userId, fingerprints, verificationTtlSeconds };
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

  return {
    async reserveMany(call, intents) {
      const found = await findContents(call, intents);
      const renewed = await renewPending(call, found);
      const missing = intents.filter(({ fingerprint }) => !found.has(fingerprint));
      const taken = await findTakenKeys(call, missing);
      // If several new files have one key, the first gets the key.
      const byKey = Map.groupBy(missing, ({ s3Key }) => s3Key);
      const fresh = [...byKey].flatMap(([s3Key, [first]]) => (first && !taken.has(s3Key) ? first : []));
      const made = await create(call, fresh);
      const created = new Map(fresh.map((intent, index) => [intent, made[index]]));
      // A concurrent call may have created some of the files, and taken the slots for them. These uploads are refused
      // with `contention`, so that the caller retries.
      const withoutSlot = fresh.filter((intent) => created.get(intent) === undefined);
      const foundLater = await findContents(call, withoutSlot);

      return intents.map((intent): Reservation => {
        const { fingerprint } = intent;
        const file = renewed.get(fingerprint) ?? found.get(fingerprint);
        if (file?.state === 'pending' && !renewed.has(fingerprint)) return { refused: 'contention' };
        if (file !== undefined) return { file, created: false };
        if (!created.has(intent)) return { refused: 'key taken' };
        if (foundLater.has(fingerprint)) return { refused: 'contention' };
        return created.get(intent) ?? { refused: 'too many pending', kind: 'single', limit: pendingMax };
      });
    },
  };
}

function byContent(rows: readonly FileRow[]): FilesByContent {
  return new Map(rows.map(toFile).map((file) => [file.fingerprint, file]));
}
