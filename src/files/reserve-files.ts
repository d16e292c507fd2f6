import type { Call } from './call.ts';
import type { FileStore } from './ports/file-store.ts';
import type { Reservation, UploadIntent } from './ports/reservations.ts';
import { randomSuffix, s3Key } from './rules/s3-key.ts';

/**
 * The most tries of the whole batch. The first try finds out which keys are taken, and the second uses other keys. A
 * third try helps if another instance reserved a batch of the same user at the same time. After that, the caller reserves
 * each file by itself.
 */
const TRIES_MAX = 3;

/** With fewer files than this, a try of the whole batch costs more than reserving each file by itself. */
const TRY_MIN_FILES = 2;

/**
 * Reserves many files with few Postgres statements: finds or creates a row for each file before the file is uploaded.
 *
 * @param intents the uploads that the user asks for. No two of them may have the same content.
 * @returns a reservation for each intent. If a reservation is refused as `key taken` or `contention`, the caller must
 *   reserve the file with `reserveFile`.
 * @throws FileError DATABASE_UNAVAILABLE
 */
export async function reserveFiles<Intent extends Omit<UploadIntent, 's3Key'>>(
  call: Call,
  store: Pick<FileStore, 'reserveMany'>,
  intents: readonly Intent[],
): Promise<Map<Intent, Reservation>> {
  const reservations = new Map<Intent, Reservation>();
  let open = intents;
  for (let tries = 1; tries <= TRIES_MAX && open.length >= TRY_MIN_FILES; tries++) {
    const plans = open.map((intent) => {
      const suffix = isKeyTaken(reservations.get(intent)) ? randomSuffix() : '';
      return { ...intent, s3Key: s3Key(call.userId, intent.filename, suffix) };
    });
    const answers = await store.reserveMany(call, plans);
    open.forEach((intent, index) => {
      reservations.set(intent, answers[index] ?? { refused: 'contention' });
    });
    open = open.filter((intent) => mayTryAgain(reservations.get(intent)));
  }
  return reservations;
}

function isKeyTaken(reservation: Reservation | undefined): boolean {
  return reservation?.refused === 'key taken';
}

function mayTryAgain(reservation: Reservation | undefined): boolean {
  return isKeyTaken(reservation) || reservation?.refused === 'contention';
}
