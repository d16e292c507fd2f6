import { parseOwnedKey } from '../rules/s3-key.ts';
import { adopt } from './adopt.ts';
import { type Comparison, compareObjects, isYoung } from './compare-objects.ts';
import { correctRows } from './correct-rows.ts';
import { createKnownUsers } from './known-users.ts';
import { isStray, type ReconcileOptions, type ReconcilePorts } from './reconcile-ports.ts';
import { emptyReport, note, type ReconcileReport } from './reconcile-report.ts';
import { type Repairable, repair } from './repair.ts';
import { untilError } from './until-error.ts';

/**
 * Finds rows without an object and objects without a row, in one pass over the table and the bucket in key order.
 * The memory holds one page of each, and at most `maxRepairs` findings of each kind.
 *
 * The pass reads the table as it was at the start of the pass, and each object when the pass reaches its key.
 * Row and object may therefore differ only because they were read at different times. So each finding is verified
 * again before it counts, up to `maxRepairs` findings. Repairs follow after the report is complete, because only
 * the complete report shows whether repairs are safe.
 */
export async function reconcile(ports: ReconcilePorts, options: ReconcileOptions): Promise<ReconcileReport> {
  const report = emptyReport();
  const found: Repairable = { orphans: [], adoptable: [], suspects: [], strays: [] };
  const users = createKnownUsers(options.userIds);
  const comparison: Comparison = { ports, options, report, users, found, startedMs: Date.now() };

  await compareObjects(comparison);
  if (report.incomplete.length > 0) return report;
  await findStrayUploads(comparison);

  const { action, maxRepairs } = options;
  if (action === 'adopt') await adopt(ports, report, found.adoptable, maxRepairs);
  if (action === 'repair') await repair(ports, report, found, maxRepairs);
  if (action !== 'report') await correctRows(ports, report, found.suspects, maxRepairs);
  return report;
}

/**
 * Finds multipart uploads that belong to no row. If S3 does not list the uploads to the end, no upload is aborted,
 * and the other findings stay valid.
 */
async function findStrayUploads(comparison: Comparison): Promise<void> {
  const { ports, options, report, found, users } = comparison;
  const uploads = untilError(ports.bucket.uploads(), (error) =>
    report.incomplete.push(
      `the multipart uploads could not be listed to the end: ${error}. None of them was aborted.`,
    ),
  );
  for await (const { s3Key, uploadId, initiated } of uploads) {
    const owned = parseOwnedKey(s3Key);
    if (owned === undefined) continue;
    const ref = users.find(owned.s3Key);
    if (ref === undefined) {
      note(report.unknownUser, s3Key, 0);
      continue;
    }
    if (!(await isStray(ports, ref))) continue;
    const young = isYoung(comparison, initiated);
    note(young ? report.youngUploads : report.strayUploads, s3Key, 0);
    const mayAbort = !young && found.strays.length < options.maxRepairs;
    if (mayAbort) found.strays.push({ ...ref, uploadId });
  }
  if (report.incomplete.length > 0) found.strays = [];
}
