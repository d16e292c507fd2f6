import type { FileRef } from '../file.ts';
import { verifyObject } from '../verify-object.ts';
import { isLargeShare } from './large-share.ts';
import { callFor, type ReconcilePorts } from './reconcile-ports.ts';
import type { ReconcileReport } from './reconcile-report.ts';

/**
 * Takes READY rows out of the lists of their users if S3 does not hold their bytes. `npm run reconcile` does this with
 * `--repair` and with `--adopt`, because it loses no bytes. `--adopt` is for a table that has lost its last writes, for
 * example after a failover. Such a table can show deleted files as READY, because it has lost the deletes too.
 *
 * Changes nothing if a large share of the rows, or more than `maxRepairs` rows, would be taken out.
 */
export async function correctRows(
  ports: ReconcilePorts,
  report: ReconcileReport,
  suspects: FileRef[],
  maxRepairs: number,
): Promise<void> {
  const doubtful = report.missing.count + report.different.count;
  const ready = report.rows.ready;
  if (isLargeShare(doubtful, ready)) {
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

/** Asks S3 for the file's object (`verifyObject`). If S3 does not hold the bytes, the row is no longer READY. */
async function verifyOnce(ports: ReconcilePorts, ref: FileRef): Promise<string | undefined> {
  const file = await ports.store.find(callFor(ref), ref.s3Key);
  return file?.state === 'ready' ? (await verifyObject(callFor(ref), ports, file)).outcome : undefined;
}
