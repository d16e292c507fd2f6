import type { Call } from '../../files/call.ts';
import type { UserFile } from '../../files/file.ts';
import type { BatchReservations, Reservation, UploadIntent } from '../../files/ports/reservations.ts';
import type { Fingerprint } from '../../files/rules/fingerprint.ts';
import type { Database } from '../connection/database.ts';
import { type FileRow, fromFingerprint, toFile } from '../file-row.ts';
import * as statements from '../statements/batch-reservations.ts';
import { formFor } from '../statements/forms.ts';
import type { StoreLimits } from '../store-limits.ts';
import { createInTurn } from './create-in-turn.ts';

type FilesByContent = ReadonlyMap<Fingerprint, UserFile>;

/**
 * Implements the port `BatchReservations`: finds or creates the rows of many uploads with one to seven statements,
 * however many the uploads are. An intent is an upload that a user asked for, before any byte was sent. Each pending
 * upload of a user holds a slot (column `pending_slot`), a number from 1 to `pendingMax`. The slots make the limit of a
 * user's pending uploads exact.
 */
export function createBatchReservations(database: Database, limits: StoreLimits): BatchReservations {
  const { verificationTtlSeconds, urlSeconds: lifeSeconds, pendingMax } = limits;
  const create = createInTurn(database, limits);

  async function findContents(call: Call, intents: readonly UploadIntent[]): Promise<FilesByContent> {
    if (intents.length === 0) return new Map();
    const fingerprints = intents.map(({ fingerprint }) => fromFingerprint(fingerprint));
    const params = { userId: call.userId, fingerprints, verificationTtlSeconds };
    return byContent(await database.run(call, statements.findContents, params));
  }

  /**
   * Starts the lifetime of the URLs of PENDING files again. Returns the files for which that was possible: those that
   * have a slot, and that no other session has locked.
   */
  async function renewPending(call: Call, files: FilesByContent): Promise<FilesByContent> {
    const pending = [...files.values()].filter(({ state }) => state === 'pending');
    if (pending.length === 0) return new Map();
    const s3Keys = pending.map(({ s3Key }) => s3Key);
    const params = { userId: call.userId, s3Keys, lifeSeconds };
    return byContent(await database.run(call, statements.renewMany[formFor(limits)], params));
  }

  return {
    async reserveMany(call, intents) {
      const found = await findContents(call, intents);
      const renewed = await renewPending(call, found);
      const missing = intents.filter(({ fingerprint }) => !found.has(fingerprint));
      const created = await create(call, missing);
      // A concurrent call may have created some of the files, and taken the slots for them. These uploads are refused
      // with `contention`, so that the caller retries.
      const withoutSlot = missing.filter((intent) => created.get(intent) === undefined);
      const foundLater = await findContents(call, withoutSlot);

      return intents.map((intent): Reservation => {
        const { fingerprint } = intent;
        const file = renewed.get(fingerprint) ?? found.get(fingerprint);
        if (file?.state === 'pending' && !renewed.has(fingerprint)) return { refused: 'contention' };
        if (file !== undefined) return { file, created: false };
        if (foundLater.has(fingerprint)) return { refused: 'contention' };
        return created.get(intent) ?? { refused: 'too many pending', kind: 'single', limit: pendingMax };
      });
    },
  };
}

function byContent(rows: readonly FileRow[]): FilesByContent {
  return new Map(rows.map(toFile).map((file) => [file.fingerprint, file]));
}
