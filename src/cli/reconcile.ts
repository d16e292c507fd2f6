import { parseArgs } from 'node:util';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { reconcile } from '../files/maintenance/reconcile.ts';
import type { Finding, ReconcileReport } from '../files/maintenance/reconcile-report.ts';
import { openBackends } from '../server/backends/backends.ts';
import { backendsForReconcile, reconcilePorts } from '../server/backends/for-reconcile.ts';
import type { Terminal } from './terminal.ts';

/**
 * The operator's command `npm run reconcile` compares table and bucket after a restore or an accident. It may
 * run beside the service.
 */
const USAGE = `usage: npm run reconcile -- [--repair] [--json] [--min-age-hours N] [--max-repairs N]

Compares bucket and table in both directions and reports. Changes nothing without --repair.
  --repair           remove objects without rows, abort uploads without rows, remove READY rows without objects from the lists
  --min-age-hours N  act only on objects that are older than N hours (default 48; at least the lifetime of a URL plus the longest upload)
  --max-repairs N    skip the repair of a kind with more than N findings (default 1000)
  --json             print the report as JSON
Exit code: 0 if they agree or every difference was repaired; 1 if differences remain; 2 for wrong arguments.`.split(
  '\n',
);

const MIN_AGE_HOURS_DEFAULT = 48;
const MAX_REPAIRS_DEFAULT = 1_000;

/** The progress line needs no more than five updates a second. */
const PROGRESS_INTERVAL_MS = 200;

/** @returns the exit code */
export async function runReconcile(
  args: string[],
  config: Config,
  log: Logger,
  terminal: Terminal,
): Promise<number> {
  const options = parseOptions(args, config);
  if (typeof options === 'string') {
    terminal.print(options, '', ...USAGE);
    return 2;
  }
  const backends = await openBackends(config, log, backendsForReconcile(config));
  try {
    const onProgress = progressOn(terminal);
    const report = await reconcile(reconcilePorts(backends), { ...options, onProgress });
    terminal.print(...(options.json ? jsonLines(report) : describe(report, options.repair)));
    return agrees(report) ? 0 : 1;
  } finally {
    await backends.stop();
  }
}

function parseOptions(args: string[], { lifetimes }: Config) {
  let values: { repair?: boolean; json?: boolean; 'min-age-hours'?: string; 'max-repairs'?: string };
  try {
    ({ values } = parseArgs({
      args,
      options: {
        repair: { type: 'boolean' },
        json: { type: 'boolean' },
        'min-age-hours': { type: 'string' },
        'max-repairs': { type: 'string' },
      },
    }));
  } catch (error) {
    return (error as Error).message;
  }
  // Younger objects may belong to an upload that is still running.
  const leastSeconds = lifetimes.urlSeconds + lifetimes.longestUploadSeconds;
  const ageHours = Number(values['min-age-hours'] ?? Math.max(MIN_AGE_HOURS_DEFAULT, leastSeconds / 3_600));
  const maxRepairs = Number(values['max-repairs'] ?? MAX_REPAIRS_DEFAULT);
  if (!(ageHours * 3_600 >= leastSeconds)) {
    return `--min-age-hours must be at least ${(leastSeconds / 3_600).toFixed(2)}: the sum of PRESIGN_TTL_SECONDS and LONGEST_UPLOAD_SECONDS`;
  }
  if (!Number.isSafeInteger(maxRepairs) || maxRepairs < 0) return '--max-repairs must be a whole number';
  return {
    repair: values.repair ?? false,
    json: values.json ?? false,
    minAgeSeconds: ageHours * 3_600,
    maxRepairs,
  };
}

function progressOn(terminal: Terminal) {
  let lastMs = 0;
  const startMs = performance.now();
  return ({ rows, objects }: { rows: number; objects: number }) => {
    const nowMs = performance.now();
    if (nowMs - lastMs < PROGRESS_INTERVAL_MS) return;
    lastMs = nowMs;
    const perSecond = Math.round(objects / ((nowMs - startMs) / 1_000));
    terminal.progress(`${rows} rows, ${objects} objects, ${perSecond} objects/s`);
  };
}

/**
 * Whether no difference is left that an operator should look at. Young objects and foreign objects are not
 * differences.
 */
function agrees({ orphans, strayUploads, missing, different, repaired }: ReconcileReport): boolean {
  return (
    orphans.count === repaired.orphans &&
    strayUploads.count === repaired.strayUploads &&
    missing.count === repaired.missing &&
    different.count === repaired.different
  );
}

/** Splitting is safe, because JSON has line ends only between its values. */
function jsonLines(report: ReconcileReport): string[] {
  return JSON.stringify(report, null, 2).split('\n');
}

function describe(report: ReconcileReport, repair: boolean): string[] {
  const { rows, objects, repaired } = report;
  const section = (title: string, { count, bytes, examples }: Finding, done?: number) => [
    `${String(count).padStart(8)}  ${title}${count > 0 ? `, ${bytes} bytes` : ''}${repair && done !== undefined ? `; repaired: ${done}` : ''}`,
    // Keys are quoted, because any writer of the bucket chooses its keys. If the screen wraps a key at a
    // blank, the rest of the key cannot pass for a line of this report.
    ...examples.map((key) => `            ${JSON.stringify(key)}`),
    ...(count > examples.length ? [`            … and ${count - examples.length} more`] : []),
  ];
  return [
    `${rows.ready} READY, ${rows.pending} PENDING, ${rows.deleted} tombstones; ${objects.count} objects, ${objects.bytes} bytes`,
    ...section('objects without a row', report.orphans, repaired.orphans),
    ...section('multipart uploads without a row', report.strayUploads, repaired.strayUploads),
    ...section('READY rows whose object is missing', report.missing, repaired.missing),
    ...section('READY rows whose object has other bytes', report.different, repaired.different),
    ...section('objects without a row that are too young to judge', report.young),
    ...section('objects under keys that this service never makes', report.foreign),
    ...report.refusals.map((refusal) => `refused: ${refusal}`),
    agrees(report)
      ? 'table and bucket agree'
      : repair
        ? 'differences remain'
        : 'differences were found and nothing was changed; use --repair to repair them',
  ];
}
