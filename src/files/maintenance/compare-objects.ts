import type { FileRef } from '../file.ts';
import type { ListedObject, ListedRow } from '../ports/inventories.ts';
import { isPossible, parseFingerprint } from '../rules/fingerprint.ts';
import { parseOwnedKey } from '../rules/s3-key.ts';
import { holdsBytesOf } from '../verify-object.ts';
import { createTailSearch } from './lost-tail.ts';
import { mergeByKey } from './merge-by-key.ts';
import { callFor, type ReconcileOptions, type ReconcilePorts } from './reconcile-ports.ts';
import { add, note, type ReconcileReport, total } from './reconcile-report.ts';
import type { Repairable } from './repair.ts';
import { untilError } from './until-error.ts';

export interface Comparison {
  ports: ReconcilePorts;
  options: ReconcileOptions;
  report: ReconcileReport;
  found: Repairable;
  startedMs: number;
}

/**
 * Compares the objects with the rows, both in the order of their keys. If the objects cannot be listed to the
 * end, the comparison ends there: rows behind that key would seem to be without their objects.
 */
export async function compareObjects(comparison: Comparison): Promise<void> {
  const { ports, report, options } = comparison;
  const tail = createTailSearch();
  const objects = untilError(ports.bucket.list(), (error) =>
    report.incomplete.push(`the objects could not be listed to the end: ${error}. Nothing was repaired.`),
  );
  for await (const { left: row, right: object } of mergeByKey(ports.rows.scan(), objects)) {
    if (report.incomplete.length > 0) return;
    if (row !== undefined) {
      report.rows[row.state]++;
      tail.addRow(row.time);
    }
    if (object !== undefined) add(report.objects, object.size);
    options.onProgress({ rows: total(report.rows), objects: report.objects.count });

    if (row?.state === 'ready' && (object === undefined || object.etag !== row.etag)) {
      await noteSuspect(comparison, row, object === undefined ? 'missing' : 'different');
    }
    if (row === undefined && object !== undefined && (await noteWithoutRow(comparison, object))) {
      tail.addObject(object.lastModified);
    }
  }
  report.lostTail = tail.find();
}

async function noteSuspect(
  { ports, options, report, found }: Comparison,
  row: ListedRow,
  first: 'missing' | 'different',
): Promise<void> {
  // Beyond the cap nothing will be repaired, and verifying a million rows would take hours.
  const capped = found.suspects.length >= options.maxRepairs;
  const finding = capped ? first : await verifyAgain(ports, row);
  if (finding === 'intact' || finding === 'not ready') return;
  note(report[finding], row.s3Key, row.size);
  if (!capped) found.suspects.push(row);
}

/** @returns whether the object may be the only copy of a file of this service */
async function noteWithoutRow(comparison: Comparison, object: ListedObject): Promise<boolean> {
  const { ports, options, report, found } = comparison;
  const { s3Key, size } = object;
  const ref = parseOwnedKey(s3Key);
  if (ref === undefined) {
    note(report.foreign, s3Key, size);
    return false;
  }
  if (await wasCommittedLate(comparison, ref, object)) return false;

  const isOrphan = !isYoung(comparison, object.lastModified);
  note(isOrphan ? report.orphans : report.young, s3Key, size);
  if (isOrphan && found.orphans.length < options.maxRepairs) found.orphans.push(ref);

  // Beyond the cap nothing will be repaired, and a copy counts as an only copy.
  const capped = found.adoptable.length >= options.maxRepairs;
  if (!capped && (await isCopy(ports, ref, object))) {
    if (isOrphan) note(report.copies, s3Key, size);
    return false;
  }
  note(report.adoptable, s3Key, size);
  if (!capped) found.adoptable.push(ref);
  return true;
}

export function isYoung({ startedMs, options }: Comparison, time: Date): boolean {
  return time.getTime() > startedMs - options.minAgeSeconds * 1_000;
}

/** The clocks of S3 and of this machine differ by less than this, and times of S3 are whole seconds. */
const CLOCK_DIFFERENCE_MS = 300_000;

/**
 * Whether a row was committed after the table was read. The row of an object is committed before the object
 * is written, so older objects need not be looked at.
 */
async function wasCommittedLate(
  { ports, startedMs }: Comparison,
  ref: FileRef,
  { lastModified }: ListedObject,
): Promise<boolean> {
  if (lastModified.getTime() < startedMs - CLOCK_DIFFERENCE_MS) return false;
  return ports.rows.has(callFor(ref), ref.s3Key);
}

/** Whether another file of the user is READY with this content, and S3 holds that file's object too. */
async function isCopy(ports: ReconcilePorts, ref: FileRef, { etag }: ListedObject): Promise<boolean> {
  const fingerprint = parseFingerprint(etag.toLowerCase());
  if (fingerprint === undefined || !isPossible(fingerprint)) return false;
  const s3Key = await ports.rows.keyOfContent(callFor(ref), fingerprint);
  if (s3Key === undefined) return false;
  return (await verifyAgain(ports, { userId: ref.userId, s3Key })) === 'intact';
}

/**
 * Checks a READY row of the scan again: since it was read, its object may have been written or removed, or
 * the row itself.
 */
async function verifyAgain(
  ports: ReconcilePorts,
  ref: FileRef,
): Promise<'missing' | 'different' | 'intact' | 'not ready'> {
  const file = await ports.store.find(callFor(ref), ref.s3Key);
  if (file?.state !== 'ready') return 'not ready';
  const object = await ports.objects.head(callFor(ref), ref.s3Key);
  if (object === undefined) return 'missing';
  return holdsBytesOf(file, object) ? 'intact' : 'different';
}
