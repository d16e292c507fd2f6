import type { FileRef } from '../file.ts';
import { verifyObject } from '../verify-object.ts';
import { describeTail } from './lost-tail.ts';
import { callFor, isStray, type OwnedUpload, type ReconcilePorts } from './reconcile-ports.ts';
import { type ReconcileReport, total } from './reconcile-report.ts';

// Above both bounds, differences are not repaired. If the table was restored to an older state, every object that
// was uploaded after that state has no row and is the only copy of its file. Accidents with single files affect
// far fewer than a tenth of all files. In a small bucket a tenth can be a single file, so ten are always allowed.
const MISSING_ROWS_SHARE_MAX = 0.1;
const MISSING_ROWS_FLOOR = 10;

/** The differences between table and bucket that may be repaired, at most `maxRepairs` of each kind. */
export interface Repairable {
  /** Objects without a row. */
  orphans: FileRef[];
  /** Objects without a row that may be the only copy of a file. Young objects are included. */
  adoptable: FileRef[];
  /** READY rows whose object is missing or has other content. */
  suspects: FileRef[];
  /** Multipart uploads without a row. */
  strays: OwnedUpload[];
}

/** Repairs orphans, suspects and strays. Skips a kind if the report shows that its repair is not safe. */
export async function repair(
  ports: ReconcilePorts,
  report: ReconcileReport,
  { orphans, suspects, strays }: Repairable,
  maxRepairs: number,
): Promise<void> {
  await removeOrphans(ports, report, orphans, maxRepairs);
  await verifySuspects(ports, report, suspects, maxRepairs);
  await abortStrays(ports, report, strays, maxRepairs);
}

async function removeOrphans(
  ports: ReconcilePorts,
  report: ReconcileReport,
  orphans: FileRef[],
  maxRepairs: number,
): Promise<void> {
  const rows = total(report.rows);
  const objects = report.objects.count - report.foreign.count;
  const withoutRow = report.adoptable.count;
  if (report.lostTail !== undefined) {
    report.refusals.push(describeTail(report.lostTail));
  } else if (withoutRow > Math.max(MISSING_ROWS_FLOOR, objects * MISSING_ROWS_SHARE_MAX)) {
    report.refusals.push(
      `${withoutRow} of ${objects} objects have no row, and the table has ${rows}: the table may have been restored to an older state, and these objects may be the only copies. Restore the rows, run "npm run reconcile -- --adopt" to make files of them, or remove the objects by hand.`,
    );
  } else if (report.orphans.count > maxRepairs) {
    report.refusals.push(
      `${report.orphans.count} objects have no row, and the limit of repairs is ${maxRepairs}.`,
    );
  } else {
    for (const ref of orphans) report.repaired.orphans += await removeOrphan(ports, ref);
  }
}

async function verifySuspects(
  ports: ReconcilePorts,
  report: ReconcileReport,
  suspects: FileRef[],
  maxRepairs: number,
): Promise<void> {
  const doubtful = report.missing.count + report.different.count;
  const ready = report.rows.ready;
  if (doubtful > Math.max(MISSING_ROWS_FLOOR, ready * MISSING_ROWS_SHARE_MAX)) {
    report.refusals.push(
      `${doubtful} of ${ready} READY rows do not match their objects: this may be the wrong bucket. Check the bucket, or restore the objects first.`,
    );
  } else if (doubtful > maxRepairs) {
    report.refusals.push(
      `${doubtful} READY rows do not match their objects, and the limit of repairs is ${maxRepairs}.`,
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
 * Aborts multipart uploads without a row. An abort removes no object, so the repair runs even if a large share of
 * the uploads has no row. Only more than `maxRepairs` such uploads block the repair.
 */
async function abortStrays(
  ports: ReconcilePorts,
  report: ReconcileReport,
  strays: OwnedUpload[],
  maxRepairs: number,
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

/**
 * Removes the object, unless a row has been created for it since the comparison.
 *
 * @returns how many objects were removed: 0 or 1
 */
async function removeOrphan(ports: ReconcilePorts, ref: FileRef): Promise<number> {
  if (await ports.rows.has(callFor(ref), ref.s3Key)) return 0;
  await ports.objects.remove(callFor(ref), ref.s3Key);
  return 1;
}

/** Asks S3 for the file's object (`verifyObject`). If S3 does not hold the bytes, the row is no longer READY. */
async function verifyOnce(ports: ReconcilePorts, ref: FileRef): Promise<string | undefined> {
  const file = await ports.store.find(callFor(ref), ref.s3Key);
  return file?.state === 'ready' ? (await verifyObject(callFor(ref), ports, file)).outcome : undefined;
}
