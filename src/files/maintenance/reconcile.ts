import type { Call } from '../call.ts';
import type { FileRef } from '../file.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { BucketInventory, RowInventory } from '../ports/inventories.ts';
import type { MultipartStore } from '../ports/multipart-store.ts';
import type { ObjectStore } from '../ports/object-store.ts';
import { parseOwnedKey } from '../rules/s3-key.ts';
import { holdsBytesOf, type VerifyPorts, verifyObject } from '../verify-object.ts';
import { mergeByKey } from './merge-by-key.ts';

export interface ReconcilePorts extends VerifyPorts {
  rows: RowInventory;
  bucket: BucketInventory;
  store: Pick<FileStore, 'find'> & VerifyPorts['store'];
  objects: Pick<ObjectStore, 'head' | 'remove'>;
  multipart: Pick<MultipartStore, 'abort'>;
}

export interface ReconcileOptions {
  repair: boolean;
  /** Objects without a row, and uploads without a row, are removed only if they are older than this. */
  minAgeSeconds: number;
  /**
   * If there are more findings of one kind than this, none of that kind is repaired: so many do not come from
   * accidents with single files.
   */
  maxRepairs: number;
  onProgress: (progress: { rows: number; objects: number }) => void;
}

/** How many findings there are, and the keys of the first ones. */
export interface Finding {
  count: number;
  bytes: number;
  examples: string[];
}

export interface ReconcileReport {
  rows: { ready: number; pending: number; deleted: number };
  objects: { count: number; bytes: number };
  /** Objects under keys of this service that have no row, and are older than `minAgeSeconds`. */
  orphans: Finding;
  /**
   * Objects under keys of this service that have no row, but are younger. Their rows may have been committed
   * after the table was read.
   */
  young: Finding;
  /** Objects under keys that this service never makes. They are never touched. */
  foreign: Finding;
  /**
   * Unfinished multipart uploads older than `minAgeSeconds` for which no row is responsible. Their parts cost
   * storage and appear in no list of objects.
   */
  strayUploads: Finding;
  /** READY rows whose object is missing. */
  missing: Finding;
  /** READY rows whose object has other bytes. */
  different: Finding;
  repaired: { orphans: number; strayUploads: number; missing: number; different: number };
  /** Reasons why nothing, or not everything, was repaired. */
  refusals: string[];
}

const EXAMPLES_MAX = 10;

/** Time for one check against Postgres or S3 while a finding is verified again. */
const STEP_TIMEOUT_MS = 10_000;

// After the table was restored to an older state, every object uploaded since has no row and is the only
// copy. A tenth of all files is far more than accidents with single files produce; the minimum of ten allows
// for a small bucket.
const MISSING_ROWS_SHARE_MAX = 0.1;
const MISSING_ROWS_FLOOR = 10;

/**
 * Compares table and bucket in both directions: one pass over both in key order, with one page of each and
 * the findings up to the cap in memory.
 *
 * The table is read as of the start of the pass, the bucket while the pass reaches it. So each finding is
 * verified again before it counts, up to the cap. Repairs follow after the report is complete, because only
 * the complete report shows whether repairs are safe.
 */
export async function reconcile(ports: ReconcilePorts, options: ReconcileOptions): Promise<ReconcileReport> {
  const report = emptyReport();
  const orphans: FileRef[] = [];
  const suspects: FileRef[] = [];
  const youngerThan = Date.now() - options.minAgeSeconds * 1_000;

  for await (const { left: row, right: object } of mergeByKey(ports.rows.scan(), ports.bucket.list())) {
    if (row !== undefined) report.rows[row.state]++;
    if (object !== undefined) add(report.objects, object.size);
    options.onProgress({ rows: total(report.rows), objects: report.objects.count });

    if (row?.state === 'ready' && (object === undefined || object.etag !== row.etag)) {
      // Beyond the cap nothing will be repaired, and verifying a million rows would take hours.
      const capped = suspects.length >= options.maxRepairs;
      const first = object === undefined ? 'missing' : 'different';
      const finding = capped ? first : await verifyAgain(ports, row);
      if (finding !== undefined) {
        note(report[finding], row.s3Key, row.size);
        if (!capped) suspects.push(row);
      }
    }
    if (row === undefined && object !== undefined) {
      const owned = parseOwnedKey(object.s3Key);
      const isYoung = object.lastModified.getTime() > youngerThan;
      const kind = owned === undefined ? 'foreign' : isYoung ? 'young' : 'orphans';
      note(report[kind], object.s3Key, object.size);
      if (owned !== undefined && !isYoung && orphans.length < options.maxRepairs) orphans.push(owned);
    }
  }

  const strays: OwnedUpload[] = [];
  for await (const { s3Key, uploadId, initiated } of ports.bucket.uploads()) {
    const owned = initiated.getTime() > youngerThan ? undefined : parseOwnedKey(s3Key);
    if (owned === undefined || !(await isStray(ports, owned))) continue;
    note(report.strayUploads, s3Key, 0);
    if (strays.length < options.maxRepairs) strays.push({ ...owned, uploadId });
  }

  if (options.repair) {
    await repair(ports, report, orphans, suspects, options);
    await abortStrays(ports, report, strays, options);
  }
  return report;
}

type Finder = 'missing' | 'different';

/**
 * Checks a READY row of the scan again: since it was read, its object may have been written or removed, or
 * the row itself.
 */
async function verifyAgain(ports: ReconcilePorts, ref: FileRef): Promise<Finder | undefined> {
  const file = await ports.store.find(callFor(ref), ref.s3Key);
  if (file?.state !== 'ready') return undefined;
  const object = await ports.objects.head(callFor(ref), ref.s3Key);
  if (object === undefined) return 'missing';
  return holdsBytesOf(file, object) ? undefined : 'different';
}

/** An unfinished upload under a key of this service. */
interface OwnedUpload extends FileRef {
  uploadId: string;
}

/** Rows of pending uploads and tombstones remove their own uploads, whatever the uploads' ids are. */
async function isStray(ports: ReconcilePorts, ref: FileRef): Promise<boolean> {
  return !(await ports.rows.ownsUploads(callFor(ref), ref.s3Key));
}

/**
 * Aborts uploads without a row. That loses no object, so a large share of such uploads does not block the
 * repair; only the cap does.
 */
async function abortStrays(
  ports: ReconcilePorts,
  report: ReconcileReport,
  strays: OwnedUpload[],
  { maxRepairs }: ReconcileOptions,
): Promise<void> {
  if (report.strayUploads.count > maxRepairs) {
    report.refusals.push(
      `${report.strayUploads.count} uploads have no row, and the limit of repairs is ${maxRepairs}.`,
    );
    return;
  }
  for (const upload of strays) {
    if (!(await isStray(ports, upload))) continue;
    await ports.multipart.abort(callFor(upload), upload.s3Key, upload.uploadId);
    report.repaired.strayUploads++;
  }
}

async function repair(
  ports: ReconcilePorts,
  report: ReconcileReport,
  orphans: FileRef[],
  suspects: FileRef[],
  options: ReconcileOptions,
): Promise<void> {
  const rows = total(report.rows);
  const objects = report.objects.count - report.foreign.count;
  const withoutRow = report.orphans.count + report.young.count;
  if (withoutRow > Math.max(MISSING_ROWS_FLOOR, objects * MISSING_ROWS_SHARE_MAX)) {
    report.refusals.push(
      `${withoutRow} of ${objects} objects have no row, and the table has ${rows}: the table may have been restored to an older state, and these objects may be the only copies. Restore the rows, or remove the objects by hand.`,
    );
  } else if (report.orphans.count > options.maxRepairs) {
    report.refusals.push(
      `${report.orphans.count} objects have no row, and the limit of repairs is ${options.maxRepairs}.`,
    );
  } else {
    for (const ref of orphans) report.repaired.orphans += await removeOrphan(ports, ref);
  }

  const doubtful = report.missing.count + report.different.count;
  const ready = report.rows.ready;
  if (doubtful > Math.max(MISSING_ROWS_FLOOR, ready * MISSING_ROWS_SHARE_MAX)) {
    report.refusals.push(
      `${doubtful} of ${ready} READY rows do not match their objects: this may be the wrong bucket. Check the bucket, or restore the objects first.`,
    );
  } else if (doubtful > options.maxRepairs) {
    report.refusals.push(
      `${doubtful} READY rows do not match their objects, and the limit of repairs is ${options.maxRepairs}.`,
    );
  } else {
    for (const ref of suspects) {
      const outcome = await verifyOnce(ports, ref);
      if (outcome === 'missing') report.repaired.missing++;
      if (outcome === 'mismatch') report.repaired.different++;
    }
  }
}

/**
 * Removes the object unless a row has been created for it since.
 *
 * @returns how many objects were removed: 0 or 1
 */
async function removeOrphan(ports: ReconcilePorts, ref: FileRef): Promise<number> {
  if (await ports.rows.has(callFor(ref), ref.s3Key)) return 0;
  await ports.objects.remove(callFor(ref), ref.s3Key);
  return 1;
}

/** Verifies the file as every read does: if S3 does not hold the bytes, the row is no longer READY. */
async function verifyOnce(ports: ReconcilePorts, ref: FileRef): Promise<string | undefined> {
  const file = await ports.store.find(callFor(ref), ref.s3Key);
  return file?.state === 'ready' ? (await verifyObject(callFor(ref), ports, file)).outcome : undefined;
}

function emptyReport(): ReconcileReport {
  const finding = (): Finding => ({ count: 0, bytes: 0, examples: [] });
  return {
    rows: { ready: 0, pending: 0, deleted: 0 },
    objects: { count: 0, bytes: 0 },
    orphans: finding(),
    young: finding(),
    strayUploads: finding(),
    foreign: finding(),
    missing: finding(),
    different: finding(),
    repaired: { orphans: 0, strayUploads: 0, missing: 0, different: 0 },
    refusals: [],
  };
}

function add(sum: { count: number; bytes: number }, bytes: number): void {
  sum.count++;
  sum.bytes += bytes;
}

function note(finding: Finding, s3Key: string, bytes: number): void {
  add(finding, bytes);
  if (finding.examples.length < EXAMPLES_MAX) finding.examples.push(s3Key);
}

function total(rows: ReconcileReport['rows']): number {
  return rows.ready + rows.pending + rows.deleted;
}

function callFor({ userId }: FileRef): Call {
  return { userId, deadline: Date.now() + STEP_TIMEOUT_MS };
}
