import type { FileRef } from '../file.ts';
import { isLargeShare } from './large-share.ts';
import { describeTail } from './lost-tail.ts';
import { callFor, isStray, type OwnedUpload, type ReconcilePorts } from './reconcile-ports.ts';
import { type ReconcileReport, total } from './reconcile-report.ts';

/** The differences between table and bucket that may be repaired, at most `maxRepairs` of each kind. */
export interface Repairable {
  /** Objects without a row that are old enough to be removed (`minAgeSeconds`). */
  orphans: FileRef[];
  /**
   * Objects without a row, of any age, whose content no READY file of the user has. Such an object may be the only copy
   * of a file whose row was lost, so `--adopt` makes a file of it.
   */
  adoptable: FileRef[];
  /** READY rows whose object is missing or has other content. */
  suspects: FileRef[];
  /** Multipart uploads without a row. */
  strays: OwnedUpload[];
}

/**
 * Removes orphans (objects without a row) and aborts strays (multipart uploads without a row). If the report shows that
 * one of the two repairs is not safe, this function skips it and adds the reason to the report.
 */
export async function repair(
  ports: ReconcilePorts,
  report: ReconcileReport,
  { orphans, strays }: Repairable,
  maxRepairs: number,
): Promise<void> {
  await removeOrphans(ports, report, orphans, maxRepairs);
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
  } else if (isLargeShare(withoutRow, objects)) {
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
