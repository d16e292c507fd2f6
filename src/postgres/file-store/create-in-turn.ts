import type { Call } from '../../files/call.ts';
import { databaseUnavailable } from '../../files/file-error.ts';
import type { Reservation, UploadIntent } from '../../files/ports/reservations.ts';
import type { S3Key } from '../../files/rules/s3-key.ts';
import { QueueTimeoutError, waitEnd } from '../../overload/fair-queue.ts';
import { createUserTurns } from '../../overload/user-turns.ts';
import type { Database } from '../connection/database.ts';
import * as statements from '../statements/batch-reservations.ts';
import type { StoreLimits } from '../store-limits.ts';
import { createNewUploads } from './new-uploads.ts';

/**
 * Returns a function that creates many pending uploads, if their keys and enough slots are free.
 *
 * The batches of one user run one after the other, because each batch takes the lowest free slots (`createMany` in
 * ../statements/batch-reservations.ts). If twelve batches ran at the same time, only one of them would get its slots.
 * Batches in other instances of the service do not wait for each other, and may take each other's slots.
 */
export function createInTurn(
  database: Database,
  limits: StoreLimits,
): (
  call: Call,
  intents: readonly UploadIntent[],
) => Promise<ReadonlyMap<UploadIntent, Reservation | undefined>> {
  const create = createNewUploads(database, limits);
  const turns = createUserTurns();

  async function findTakenKeys(call: Call, intents: readonly UploadIntent[]): Promise<Set<S3Key>> {
    const params = { userId: call.userId, s3Keys: intents.map(({ s3Key }) => s3Key) };
    const rows = await database.run(call, statements.findKeys, params);
    return new Set(rows.map(({ s3_key }) => s3_key as S3Key));
  }

  async function createWithFreeKeys(call: Call, intents: readonly UploadIntent[]) {
    const taken = await findTakenKeys(call, intents);
    // If several new files have one key, the first gets the key.
    const byKey = Map.groupBy(intents, ({ s3Key }) => s3Key);
    const fresh = [...byKey].flatMap(([s3Key, [first]]) => (first && !taken.has(s3Key) ? first : []));
    const made = await create(call, fresh);
    const answers = new Map<UploadIntent, Reservation | undefined>(
      intents.map((intent) => [intent, { refused: 'key taken' }]),
    );
    fresh.forEach((intent, index) => {
      answers.set(intent, made[index]);
    });
    return answers;
  }

  /**
   * @returns the reservation of each intent; `undefined` for an intent without a free slot
   * @throws FileError DATABASE_UNAVAILABLE, also when the earlier batches of the user take too long
   */
  return async (call, intents) => {
    if (intents.length === 0) return new Map();
    try {
      return await turns.run(call.userId, waitEnd(call.deadline), () => createWithFreeKeys(call, intents));
    } catch (error) {
      throw error instanceof QueueTimeoutError ? databaseUnavailable(error) : error;
    }
  };
}
