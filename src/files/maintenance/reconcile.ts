import type { FileRef } from '../file.ts';
import { parseOwnedKey } from '../rules/s3-key.ts';
import { holdsBytesOf } from '../verify-object.ts';
import { mergeByKey } from './merge-by-key.ts';
import { callFor, isStray, type ReconcilePorts } from './reconcile-ports.ts';
import { add, emptyReport, note, type ReconcileReport, total } from './reconcile-report.ts';
import { type Repairable, repair } from './repair.ts';

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
  const found: Repairable = { orphans: [], suspects: [], strays: [] };
  const youngerThan = Date.now() - options.minAgeSeconds * 1_000;

  for await (const { left: row, right: object } of mergeByKey(ports.rows.scan(), ports.bucket.list())) {
    if (row !== undefined) report.rows[row.state]++;
    if (object !== undefined) add(report.objects, object.size);
    options.onProgress({ rows: total(report.rows), objects: report.objects.count });

    if (row?.state === 'ready' && (object === undefined || object.etag !== row.etag)) {
      // Beyond the cap nothing will be repaired, and verifying a million rows would take hours.
      const capped = found.suspects.length >= options.maxRepairs;
      const first = object === undefined ? 'missing' : 'different';
      const finding = capped ? first : await verifyAgain(ports, row);
      if (finding !== undefined) {
        note(report[finding], row.s3Key, row.size);
        if (!capped) found.suspects.push(row);
      }
    }
    if (row === undefined && object !== undefined) {
      const owned = parseOwnedKey(object.s3Key);
      const isYoung = object.lastModified.getTime() > youngerThan;
      const kind = owned === undefined ? 'foreign' : isYoung ? 'young' : 'orphans';
      note(report[kind], object.s3Key, object.size);
      const mayRepair = kind === 'orphans' && found.orphans.length < options.maxRepairs;
      if (owned !== undefined && mayRepair) found.orphans.push(owned);
    }
  }

  for await (const { s3Key, uploadId, initiated } of ports.bucket.uploads()) {
    const owned = initiated.getTime() > youngerThan ? undefined : parseOwnedKey(s3Key);
    if (owned === undefined || !(await isStray(ports, owned))) continue;
    note(report.strayUploads, s3Key, 0);
    if (found.strays.length < options.maxRepairs) found.strays.push({ ...owned, uploadId });
  }

  if (options.repair) await repair(ports, report, found, options.maxRepairs);
  return report;
}

/**
 * Checks a READY row of the scan again: since it was read, its object may have been written or removed, or
 * the row itself.
 */
async function verifyAgain(
  ports: ReconcilePorts,
  ref: FileRef,
): Promise<'missing' | 'different' | undefined> {
  const file = await ports.store.find(callFor(ref), ref.s3Key);
  if (file?.state !== 'ready') return undefined;
  const object = await ports.objects.head(callFor(ref), ref.s3Key);
  if (object === undefined) return 'missing';
  return holdsBytesOf(file, object) ? undefined : 'different';
}
