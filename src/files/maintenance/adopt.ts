import type { FileRef, StoredObject } from '../file.ts';
import type { AdoptedFile } from '../ports/inventories.ts';
import { changesBytes } from '../rules/content-encoding.ts';
import { filenameInKey } from '../rules/filename-in-key.ts';
import { isPossible } from '../rules/fingerprint.ts';
import type { S3Key } from '../rules/s3-key.ts';
import { headUnlessRefused } from './compare-objects.ts';
import { callFor, type ReconcilePorts } from './reconcile-ports.ts';
import type { ReconcileReport } from './reconcile-report.ts';

/** The reasons for which an object did not become a file, as the report shows them to the operator. */
const REASONS = {
  gone: 'are gone, or have a row now',
  unknown: 'have an ETag that is not their MD5, as under SSE-KMS and SSE-C, so their content is not known',
  refused: 'are refused by S3, for the reason in the log',
  encoded: 'have a Content-Encoding, with which an upload never becomes a file',
  held: 'have the content of a pending upload of their user; run --adopt again when it has ended',
} as const;

type Outcome = 'adopted' | keyof typeof REASONS;

/**
 * Creates a READY row for each object that has no row (`npm run reconcile -- --adopt`). A new row loses no bytes, so
 * objects are adopted even if a large share of all objects has no row. Only more than `maxRepairs` such objects block
 * the adoption. A second run changes nothing.
 */
export async function adopt(
  ports: ReconcilePorts,
  report: ReconcileReport,
  adoptable: FileRef[],
  maxRepairs: number,
): Promise<void> {
  const { count } = report.adoptable;
  if (count > maxRepairs) {
    report.refusals.push(
      `${count} objects could be adopted, and the limit of repairs is ${maxRepairs}: set --max-repairs.`,
    );
    return;
  }
  const left = new Map<keyof typeof REASONS, number>();
  for (const ref of adoptable) {
    const outcome = await adoptOne(ports, ref);
    if (outcome === 'adopted') report.repaired.adopted++;
    else left.set(outcome, (left.get(outcome) ?? 0) + 1);
  }
  for (const [reason, objects] of left) {
    report.refusals.push(`${objects} objects were not adopted: they ${REASONS[reason]}.`);
  }
}

/**
 * Looks for the row first, and for the object afterwards, so that it does not adopt the object of a deleted
 * file. A delete removes the object from S3. Only then does the sweeper (the background task, `sweeper.ts`) remove the
 * tombstone, which is the row of a deleted file. So if the row was missing and S3 still has the object, the row was
 * lost, and not removed by a delete. A concurrent call can create a row after this function has looked. Then
 * `rows.adopt` changes nothing.
 */
async function adoptOne(ports: ReconcilePorts, ref: FileRef): Promise<Outcome> {
  const { s3Key } = ref;
  if (await ports.rows.has(callFor(ref), s3Key)) return 'gone';
  const object = await headUnlessRefused(ports, ref);
  if (object === 'refused') return 'refused';
  if (object === undefined) return 'gone';
  if (changesBytes(object.contentEncoding)) return 'encoded';
  const file = fileOf(s3Key, object);
  if (file === undefined) return 'unknown';
  if (await ports.rows.adopt(callFor(ref), file)) return 'adopted';
  return (await ports.rows.has(callFor(ref), s3Key)) ? 'gone' : 'held';
}

/** @returns `undefined` if the ETag of the object does not show the MD5 of its content */
function fileOf(s3Key: S3Key, object: StoredObject): AdoptedFile | undefined {
  const { size, etag, fingerprint, mimeType, lastModified } = object;
  if (fingerprint === undefined || !isPossible(fingerprint)) return undefined;
  return { s3Key, filename: filenameInKey(s3Key), mimeType, fingerprint, size, etag, lastModified };
}
