import type { Call } from './call.ts';
import type { FileStore } from './ports/file-store.ts';
import type { Reservation, UploadIntent } from './ports/reservations.ts';
import { randomSuffix, s3Key } from './rules/s3-key.ts';

/**
 * How often the whole batch is tried. The first try finds keys that are taken, the second gives other keys. A third
 * helps if another batch of the user ran at the same time. After that, the caller reserves each file by itself.
 */
const TRIES_MAX = 3;

/** Another try of the whole batch for fewer files than this costs more than to reserve each file by itself. */
const TRY_MIN_FILES = 2;

/**
 * Reserves many files with few statements.
 *
 * @param intents of different contents
 * @returns a reservation for each intent. If it is refused as `key taken` or `contention`, `reserveFile` is needed.
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
