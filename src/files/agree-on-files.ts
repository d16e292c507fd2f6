import { assertNotAbandoned, type Call } from './call.ts';
import { partOf } from './deadline.ts';
import { inWorkers } from './in-workers.ts';
import type { FileStore } from './ports/file-store.ts';
import type { Reservation, UploadIntent } from './ports/reservations.ts';
import { type Reserved, type ReservePorts, reserveFile, settle, tooManyPending } from './reserve-file.ts';
import { reserveFiles } from './reserve-files.ts';
import { VERIFICATIONS_CONCURRENCY, VERIFICATIONS_SHARE } from './verify-uploads.ts';

export interface AgreePorts extends ReservePorts {
  store: Pick<FileStore, 'reserveMany' | 'updateIntent'> & ReservePorts['store'];
}

type Intent = Omit<UploadIntent, 's3Key'>;

/** The file of each intent, or the error that CreatePresignedUpload would return for this intent alone. */
type Agreed<One extends Intent> = Map<One, PromiseSettledResult<Reserved>>;

/**
 * Finds or creates the file of each intent (an upload that the user asks for). A file that is PENDING gets the name and
 * MIME type of the last intent with its content. Intents with the same content get the same file, as if each had come
 * in a call of its own.
 *
 * @throws FileError DATABASE_UNAVAILABLE
 * @throws CallAbandonedError
 */
export async function agreeOnFiles<One extends Intent>(
  call: Call,
  ports: AgreePorts,
  intents: readonly One[],
): Promise<Agreed<One>> {
  const contents = [...Map.groupBy(intents, ({ fingerprint }) => fingerprint).values()];
  const reservations = await reserveFiles(
    call,
    ports.store,
    contents.flatMap(([first]) => first ?? []),
  );
  const agreed: Agreed<One> = new Map();
  // A file that may exist is verified in S3, and a file that this call has created is not. All verifications must end
  // within a share of the remaining time, so that the rest remains for the steps after them and the answer.
  const inTime = { ...call, deadline: partOf(call.deadline, VERIFICATIONS_SHARE) };
  await inWorkers(call, VERIFICATIONS_CONCURRENCY, contents, async (sameContent) => {
    const [first] = sameContent;
    if (first === undefined) return;
    const [file] = await Promise.allSettled([fileOf(inTime, ports, first, reservations.get(first))]);
    for (const intent of sameContent) agreed.set(intent, file);
    if (file.status === 'rejected' || file.value.status === 'exists') return;
    const reserved = file.value;
    let announced: Intent = reserved.created ? first : reserved.file;
    for (const intent of changesThatLast(announced, sameContent)) {
      const [updated] = await Promise.allSettled([announce(call, ports, reserved, announced, intent)]);
      if (updated.status === 'rejected') agreed.set(intent, updated);
      else announced = intent;
    }
  });
  assertNotAbandoned(call);
  return agreed;
}

/**
 * Returns the intents that must be announced (written to the row), out of all intents with one content. The row is then
 * the same as if all had been announced. The last intent gives the row its name and type. One intent of another type is
 * needed because the row remembers whether there were several types. Announcing all intents of a batch could take 1,000
 * statements on one row.
 *
 * @param announced the intent that the row has now
 */
function changesThatLast<One extends Intent>({ mimeType }: Intent, sameContent: readonly One[]): One[] {
  const last = sameContent.at(-1);
  if (last === undefined) return [];
  const other = sameContent.find((intent) => intent.mimeType !== mimeType);
  return other === undefined || other === last ? [last] : [other, last];
}

async function fileOf(
  call: Call,
  ports: ReservePorts,
  intent: Intent,
  reservation: Reservation | undefined,
): Promise<Reserved> {
  if (reservation?.refused === 'too many pending') throw tooManyPending(reservation);
  const settled =
    reservation !== undefined && reservation.refused === undefined
      ? await settle(call, ports, reservation)
      : undefined;
  return settled ?? reserveFile(call, ports, intent);
}

/**
 * Gives a pending file the name, type and size of an intent, if they differ from what was announced before. A file that
 * is `lost` (it was READY, and S3 then no longer had its object) is updated in any case, so that it is no longer lost.
 */
async function announce(
  call: Call,
  { store }: AgreePorts,
  { file }: Extract<Reserved, { status: 'pending' }>,
  before: Intent,
  intent: Intent,
): Promise<void> {
  const isSame =
    before.filename === intent.filename && before.mimeType === intent.mimeType && before.size === intent.size;
  if (!isSame || file.lost) await store.updateIntent(call, { ...intent, s3Key: file.s3Key });
}
