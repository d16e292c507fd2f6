import type { FileRef, StoredObject } from '../file.ts';
import type { ListedObject, ListedRow } from '../ports/inventories.ts';
import { refusalIn } from '../refusal-error.ts';
import { isPossible, parseFingerprint } from '../rules/fingerprint.ts';
import { parseOwnedKey } from '../rules/s3-key.ts';
import { differenceBetween } from '../verify-object.ts';
import type { KnownUsers } from './known-users.ts';
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
  users: KnownUsers;
  found: Repairable;
  startedMs: number;
}

/**
 * Compares the objects with the rows, both in the order of their keys. If the objects cannot be listed to the
 * end, the comparison ends at the last listed key, because every later row would seem to have no object.
 */
export async function compareObjects(comparison: Comparison): Promise<void> {
  const { ports, report, options, users } = comparison;
  const tail = createTailSearch();
  // Objects whose user is not known yet. A later row may name the user.
  const held: ListedObject[] = [];
  const objects = untilError(ports.bucket.list(), (error) =>
    report.incomplete.push(`the objects could not be listed to the end: ${error}. Nothing was repaired.`),
  );
  for await (const { left: row, right: object } of mergeByKey(ports.rows.scan(), objects)) {
    if (report.incomplete.length > 0) return;
    if (row !== undefined) {
      report.rows[row.state]++;
      tail.addRow(row.time);
      users.addRow(row);
    }
    if (object !== undefined) add(report.objects, object.size);
    options.onProgress({ rows: total(report.rows), objects: report.objects.count });

    if (row?.state === 'ready' && (object === undefined || object.etag !== row.etag)) {
      await noteSuspect(comparison, row, object === undefined ? 'missing' : 'different');
    }
    if (row === undefined && object !== undefined) {
      const owned = parseOwnedKey(object.s3Key);
      if (owned && users.find(owned.s3Key) === undefined && held.length < options.maxRepairs)
        held.push(object);
      else if (await noteWithoutRow(comparison, object)) tail.addObject(object.lastModified);
    }
  }
  for (const object of held) {
    if (await noteWithoutRow(comparison, object)) tail.addObject(object.lastModified);
  }
  report.lostTail = tail.find();
}

async function noteSuspect(
  { ports, options, report, found }: Comparison,
  row: ListedRow,
  first: 'missing' | 'different',
): Promise<void> {
  // Rows beyond `maxRepairs` are counted but not verified: they are not repaired, and verifying a million rows
  // would take hours.
  const capped = found.suspects.length >= options.maxRepairs;
  const finding = capped ? first : await verifyAgain(ports, row);
  if (finding === 'intact' || finding === 'not ready') return;
  note(report[finding], row.s3Key, row.size);
  if (!capped && finding !== 'refused') found.suspects.push(row);
}

/** @returns whether the object, which has no row, may be the only copy of a file of this service */
async function noteWithoutRow(comparison: Comparison, object: ListedObject): Promise<boolean> {
  const { ports, options, report, found, users } = comparison;
  const { s3Key, size } = object;
  const owned = parseOwnedKey(s3Key);
  if (owned === undefined) {
    note(report.foreign, s3Key, size);
    return false;
  }
  const ref = users.find(owned.s3Key);
  if (ref === undefined) {
    note(report.unknownUser, s3Key, size);
    return true;
  }
  if (await wasCommittedLate(comparison, ref, object)) return false;

  const isOrphan = !isYoung(comparison, object.lastModified);
  note(isOrphan ? report.orphans : report.young, s3Key, size);
  if (isOrphan && found.orphans.length < options.maxRepairs) found.orphans.push(ref);

  // Objects beyond `maxRepairs` are not repaired, so they are not checked for copies: each counts as adoptable.
  const capped = found.adoptable.length >= options.maxRepairs;
  if (!capped && (await isCopy(ports, ref, object))) {
    if (isOrphan) note(report.copies, s3Key, size);
    return false;
  }
  note(report.adoptable, s3Key, size);
  if (!capped) found.adoptable.push(ref);
  return true;
}

/** Whether the time is less than `minAgeSeconds` before the start of the comparison. */
export function isYoung({ startedMs, options }: Comparison, time: Date): boolean {
  return time.getTime() > startedMs - options.minAgeSeconds * 1_000;
}

/**
 * The assumed maximum difference between the clocks of S3 and of this machine. It includes the second by which a
 * time of S3 can be wrong, because S3 gives times in whole seconds.
 */
const CLOCK_DIFFERENCE_MS = 300_000;

/**
 * Whether the object's row was committed after the table was read. A row is committed before its object is
 * written, so an object that was written before the comparison began cannot have such a row.
 */
async function wasCommittedLate(
  { ports, startedMs }: Comparison,
  ref: FileRef,
  { lastModified }: ListedObject,
): Promise<boolean> {
  if (lastModified.getTime() < startedMs - CLOCK_DIFFERENCE_MS) return false;
  return ports.rows.has(callFor(ref), ref.s3Key);
}

/** Whether the user has another READY file with this content, and S3 also holds the object of that file. */
async function isCopy(ports: ReconcilePorts, ref: FileRef, { etag }: ListedObject): Promise<boolean> {
  const fingerprint = parseFingerprint(etag.toLowerCase());
  if (fingerprint === undefined || !isPossible(fingerprint)) return false;
  const s3Key = await ports.rows.keyOfContent(callFor(ref), fingerprint);
  if (s3Key === undefined) return false;
  return (await verifyAgain(ports, { userId: ref.userId, s3Key })) === 'intact';
}

/**
 * Checks a READY row again, because the row or its object may have been written or removed since the comparison
 * read it.
 */
async function verifyAgain(
  ports: ReconcilePorts,
  ref: FileRef,
): Promise<'missing' | 'different' | 'intact' | 'refused' | 'not ready'> {
  const file = await ports.store.find(callFor(ref), ref.s3Key);
  if (file?.state !== 'ready') return 'not ready';
  const object = await headUnlessRefused(ports, ref);
  if (object === 'refused') return 'refused';
  if (object === undefined) return 'missing';
  return differenceBetween(file, object) === undefined ? 'intact' : 'different';
}

/**
 * Asks S3 about the object (HEAD). Returns `undefined` if S3 has no such object. Returns `refused` if S3 refuses only
 * requests about this object, for example because a scanner has quarantined it: an error would end the comparison of
 * all objects. Throws if S3 does not answer, or refuses requests about other objects as well.
 */
export async function headUnlessRefused(
  ports: ReconcilePorts,
  ref: FileRef,
): Promise<StoredObject | undefined | 'refused'> {
  try {
    return await ports.objects.head(callFor(ref), ref.s3Key);
  } catch (error) {
    if (refusalIn(error)?.about !== 'object') throw error;
    return 'refused';
  }
}
