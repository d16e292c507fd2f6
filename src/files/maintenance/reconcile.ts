import type { Deadline } from '../deadline.ts';
import type {
  BucketInventory,
  FileRef,
  FileStore,
  ListedUpload,
  MultipartStore,
  ObjectStore,
  RowInventory,
} from '../ports.ts';
import { ownerOfKey } from '../rules/s3-key.ts';
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
  /** An object without a row is only acted upon when it is older. */
  minAgeSeconds: number;
  /** More findings of a kind than this are not repaired: that many are no accident of single files. */
  maxRepairs: number;
  onProgress: (progress: { rows: number; objects: number }) => void;
}

/** How many there are, and the first of them. */
export interface Finding {
  count: number;
  bytes: number;
  examples: string[];
}

export interface ReconcileReport {
  rows: { ready: number; pending: number; deleted: number };
  objects: { count: number; bytes: number };
  /** Objects of our making without a row, older than the age guard. */
  orphans: Finding;
  /** The same, but younger: their rows may have come after the table was read. */
  young: Finding;
  /** Objects under keys that this service never makes. Never touched. */
  foreign: Finding;
  /**
   * Uploads in parts that are under way in the bucket and of which no row knows, older than the age guard. Their bytes are
   * paid for, and in no list of objects.
   */
  strayUploads: Finding;
  /** READY rows whose object is not there. */
  missing: Finding;
  /** READY rows whose object is other bytes. */
  different: Finding;
  repaired: { orphans: number; strayUploads: number; missing: number; different: number };
  /** Why nothing, or not everything, was repaired. */
  refusals: string[];
}

const EXAMPLES_MAX = 10;

/** For one question while findings are looked at again. */
const STEP_TIMEOUT_MS = 10_000;

// After a restore of the table to an older state, whatever was uploaded since
// has no row, and is the only copy. One file in ten is far from any accident of
// single files; ten allow for a small bucket.
const MISSING_ROWS_SHARE_MAX = 0.1;
const MISSING_ROWS_FLOOR = 10;

/**
 * Compares table and bucket in both directions: one pass over both, in the order
 * of their keys, holding one page of each and the findings up to the cap.
 *
 * The table is read as of the start, the bucket as it is met, so each finding is
 * looked at again before it counts, up to the cap. Repairs come after the report is complete,
 * because only that tells whether they are safe.
 */
export async function reconcile(ports: ReconcilePorts, options: ReconcileOptions): Promise<ReconcileReport> {
  const report = emptyReport();
  const orphans: string[] = [];
  const suspects: FileRef[] = [];
  const youngerThan = Date.now() - options.minAgeSeconds * 1_000;

  for await (const { left: row, right: object } of mergeByKey(ports.rows.scan(), ports.bucket.list())) {
    if (row !== undefined) report.rows[row.state]++;
    if (object !== undefined) add(report.objects, object.size);
    options.onProgress({ rows: total(report.rows), objects: report.objects.count });

    if (row?.state === 'ready' && (object === undefined || object.etag !== row.etag)) {
      // Past the cap nothing will be repaired, and a million looks would take hours.
      const capped = suspects.length >= options.maxRepairs;
      const first = object === undefined ? 'missing' : 'different';
      const finding = capped ? first : await verifyAgain(ports, row);
      if (finding !== undefined) {
        note(report[finding], row.s3Key, row.size);
        if (!capped) suspects.push(row);
      }
    }
    if (row === undefined && object !== undefined) {
      const kind = orphanKind(object, youngerThan);
      note(report[kind], object.s3Key, object.size);
      if (kind === 'orphans' && orphans.length < options.maxRepairs) orphans.push(object.s3Key);
    }
  }

  const strays: ListedUpload[] = [];
  for await (const upload of ports.bucket.uploads()) {
    if (upload.initiated.getTime() > youngerThan || !(await isStray(ports, upload))) continue;
    note(report.strayUploads, upload.s3Key, 0);
    if (strays.length < options.maxRepairs) strays.push(upload);
  }

  if (options.repair) {
    await repair(ports, report, orphans, suspects, options);
    await abortStrays(ports, report, strays, options);
  }
  return report;
}

type Finder = 'missing' | 'different';

/** What a READY row of the scan is now: its object may have come or gone, or the row itself, since it was read. */
async function verifyAgain(ports: ReconcilePorts, ref: FileRef): Promise<Finder | undefined> {
  const file = await ports.store.find(ref, timeout());
  if (file?.state !== 'ready') return undefined;
  const object = await ports.objects.head(ref.s3Key, timeout());
  if (object === undefined) return 'missing';
  return holdsBytesOf(file, object) ? undefined : 'different';
}

function orphanKind(
  { s3Key, lastModified }: { s3Key: string; lastModified: Date },
  youngerThan: number,
): 'orphans' | 'young' | 'foreign' {
  if (ownerOfKey(s3Key) === undefined) return 'foreign';
  return lastModified.getTime() > youngerThan ? 'young' : 'orphans';
}

/** A pending row and a tombstone mind their uploads themselves, whatever S3 calls them. */
async function isStray(ports: ReconcilePorts, { s3Key }: ListedUpload): Promise<boolean> {
  const userId = ownerOfKey(s3Key);
  return userId !== undefined && !(await ports.rows.ownsUploads({ userId, s3Key }));
}

/** No object is lost with them, so no share of them is too many. */
async function abortStrays(
  ports: ReconcilePorts,
  report: ReconcileReport,
  strays: ListedUpload[],
  { maxRepairs }: ReconcileOptions,
): Promise<void> {
  if (report.strayUploads.count > maxRepairs) {
    report.refusals.push(
      `${report.strayUploads.count} uploads without a row are more than the cap of ${maxRepairs}.`,
    );
    return;
  }
  for (const upload of strays) {
    if (!(await isStray(ports, upload))) continue;
    await ports.multipart.abort(upload.s3Key, upload.uploadId, timeout());
    report.repaired.strayUploads++;
  }
}

async function repair(
  ports: ReconcilePorts,
  report: ReconcileReport,
  orphans: string[],
  suspects: FileRef[],
  options: ReconcileOptions,
): Promise<void> {
  const rows = total(report.rows);
  const objects = report.objects.count - report.foreign.count;
  const withoutRow = report.orphans.count + report.young.count;
  if (withoutRow > Math.max(MISSING_ROWS_FLOOR, objects * MISSING_ROWS_SHARE_MAX)) {
    report.refusals.push(
      `${withoutRow} of ${objects} objects have no row, and the table has ${rows}: it looks restored to an older state, and these objects may be the only copies. Restore the rows, or remove the objects by hand.`,
    );
  } else if (report.orphans.count > options.maxRepairs) {
    report.refusals.push(
      `${report.orphans.count} objects without a row are more than the cap of ${options.maxRepairs}.`,
    );
  } else {
    for (const s3Key of orphans) report.repaired.orphans += await removeOrphan(ports, s3Key);
  }

  const doubtful = report.missing.count + report.different.count;
  const ready = report.rows.ready;
  if (doubtful > Math.max(MISSING_ROWS_FLOOR, ready * MISSING_ROWS_SHARE_MAX)) {
    report.refusals.push(
      `${doubtful} of ${ready} READY rows do not fit their objects: is this the right bucket? Restore the objects first.`,
    );
  } else if (doubtful > options.maxRepairs) {
    report.refusals.push(`${doubtful} rows that do not fit are more than the cap of ${options.maxRepairs}.`);
  } else {
    for (const ref of suspects) {
      const found = await verifyOnce(ports, ref);
      if (found === 'missing') report.repaired.missing++;
      if (found === 'mismatch') report.repaired.different++;
    }
  }
}

/** Removes it unless a row has come meanwhile. @returns how many were removed */
async function removeOrphan(ports: ReconcilePorts, s3Key: string): Promise<number> {
  const userId = ownerOfKey(s3Key);
  if (userId === undefined || (await ports.rows.has({ userId, s3Key }))) return 0;
  await ports.objects.remove(s3Key, timeout());
  return 1;
}

/** The same look as every reader's: it takes the row out of READY when the bytes are not there. */
async function verifyOnce(ports: ReconcilePorts, ref: FileRef): Promise<string | undefined> {
  const file = await ports.store.find(ref, timeout());
  return file?.state === 'ready' ? (await verifyObject(ports, file, timeout())).outcome : undefined;
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

function timeout(): Deadline {
  return Date.now() + STEP_TIMEOUT_MS;
}
