import { describeTail } from '../files/maintenance/lost-tail.ts';
import type { ReconcileOptions } from '../files/maintenance/reconcile-ports.ts';
import { agrees, type Finding, type ReconcileReport } from '../files/maintenance/reconcile-report.ts';

interface DescribeOptions extends Pick<ReconcileOptions, 'action'> {
  /** After these hours, no URL that the service has given out until now can write any more. */
  writeWindowHours: number;
}

/** Returns the report as text for a person. With `--json`, the command prints the report as JSON instead. */
export function describeDifferences(
  report: ReconcileReport,
  { action, writeWindowHours }: DescribeOptions,
): string[] {
  const { rows, objects, repaired } = report;
  const section = (title: string, { count, bytes, examples }: Finding, done = '') => [
    `${String(count).padStart(8)}  ${title}${count > 0 ? `, ${bytes} bytes` : ''}${done}`,
    // A writer of the bucket can choose a key that looks like a line of this report. So keys are quoted. If the screen
    // breaks a long key at a blank, the closing quote shows that the second half is no line of this report.
    ...examples.map((key) => `            ${JSON.stringify(key)}`),
    ...(count > examples.length ? [`            … and ${count - examples.length} more`] : []),
  ];
  const repairs = (count: number) => (action === 'repair' ? `; repaired: ${count}` : '');
  const corrections = (count: number) => (action === 'report' ? '' : `; repaired: ${count}`);
  const adoptions = action === 'adopt' ? `; adopted: ${repaired.adopted}` : '';
  return [
    `${rows.ready} READY, ${rows.pending} PENDING, ${rows.deleted} tombstones; ${objects.count} objects, ${objects.bytes} bytes`,
    ...section('objects without a row', report.orphans, repairs(repaired.orphans)),
    ...section('objects without a row that are too young to remove', report.young),
    ...section('of these two, objects that may be the only copy of a file', report.adoptable, adoptions),
    ...section('multipart uploads without a row', report.strayUploads, repairs(repaired.strayUploads)),
    ...section('multipart uploads without a row that are too young to abort', report.youngUploads),
    ...section('READY rows whose object is missing', report.missing, corrections(repaired.missing)),
    ...section('READY rows whose object has other bytes', report.different, corrections(repaired.different)),
    ...section('objects and uploads of a user whose id is not known: use --user-ids', report.unknownUser),
    ...section('objects that S3 refuses to show', report.refused),
    ...section('objects under keys that this service never makes', report.foreign),
    ...report.incomplete.map((reason) => `incomplete: ${reason}`),
    // The lost tail: the newest rows seem to be lost, and the objects may be the only copies of files. With --repair,
    // `report.refusals` already says so, because no object was removed for that reason.
    ...(action === 'report' && report.lostTail !== undefined
      ? [`attention: ${describeTail(report.lostTail)}`]
      : []),
    ...report.refusals.map((refusal) => `refused: ${refusal}`),
    ...(repaired.adopted > 0
      ? [
          `note: an upload whose row was lost may still be under way. Run --adopt again in ${writeWindowHours} hours, before any --repair.`,
        ]
      : []),
    conclusion(report, action),
  ];
}

function conclusion(report: ReconcileReport, action: ReconcileOptions['action']): string {
  if (report.incomplete.length > 0)
    return 'this report is partial, because S3 could not be listed to the end';
  if (agrees(report)) return 'table and bucket agree';
  if (action !== 'report') return 'differences remain';
  const option =
    report.lostTail === undefined ? '--repair to repair them' : '--adopt to make files of objects';
  return `differences were found and nothing was changed; use ${option}`;
}
