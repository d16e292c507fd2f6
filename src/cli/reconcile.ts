import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { reasonOf, StartupError } from '../config/startup-error.ts';
import { describeTail } from '../files/maintenance/lost-tail.ts';
import { reconcile } from '../files/maintenance/reconcile.ts';
import type { ReconcileOptions } from '../files/maintenance/reconcile-ports.ts';
import { agrees, type Finding, type ReconcileReport } from '../files/maintenance/reconcile-report.ts';
import { isSchemaBehind } from '../postgres/connection/error-classes.ts';
import { openBackends } from '../server/backends/backends.ts';
import { causeOf } from '../server/backends/cause-of.ts';
import { backendsForReconcile, reconcilePorts } from '../server/backends/for-reconcile.ts';
import { updateSchema } from '../server/schema.ts';
import { createProgressLine } from './progress-line.ts';
import type { Terminal } from './terminal.ts';
import { asksForHelp, printHelp, refuseArguments } from './usage.ts';

/**
 * The operator's command `npm run reconcile` compares the rows of all files in Postgres (the table) with the objects in
 * the bucket, after a restore or an accident. The command may run while the service runs.
 */
const USAGE = `usage: npm run reconcile -- [--repair | --adopt] [--json] [--min-age-hours N] [--max-repairs N]

Compares bucket and table in both directions and reports. Changes nothing without --repair or --adopt.
  --repair           remove objects without rows, abort uploads without rows, remove READY rows without objects from the lists
  --adopt            make files of objects without rows, remove READY rows without objects from the lists: for a table that lost its last rows in a failover or a restore
  --min-age-hours N  --repair removes and aborts only what is older than N hours (default 48; at least the lifetime of a URL plus the longest upload)
  --max-repairs N    skip a kind with more than N findings (default 1000)
  --user-ids FILE    a user id per line: for keys that have only the hash of a long id, if no row of the user is left
  --json             print the report as JSON
  --help             print this text
Exit code: 0 if they agree or every difference was repaired; 1 if differences remain; 2 for wrong arguments; 3 if S3 could not be listed to the end, so that the report is partial.`.split(
  '\n',
);

const MIN_AGE_HOURS_DEFAULT = 48;
const EXIT_INCOMPLETE = 3;
const MAX_REPAIRS_DEFAULT = 1_000;

/**
 * @param directory the directory to which relative paths refer
 * @returns the exit code
 */
export async function runReconcile(
  args: string[],
  readConfig: () => Config,
  log: Logger,
  terminal: Terminal,
  directory: string,
): Promise<number> {
  if (asksForHelp(args)) return printHelp(terminal, USAGE);
  const config = readConfig();
  const options = await parseOptions(args, config, directory);
  if (typeof options === 'string') return refuseArguments(terminal, options, USAGE);
  const backends = await openBackends(config, log, backendsForReconcile(config));
  try {
    // `npm run migrate` refuses the embedded Postgres.
    if (config.backend.kind === 'embedded') {
      await updateSchema(backends.postgres, log, new AbortController().signal);
    }
    const onProgress = progressOn(terminal);
    const report = await reconcile(reconcilePorts(backends, config), { ...options, onProgress }).finally(() =>
      terminal.progress(''),
    );
    terminal.print(...(options.json ? jsonLines(report) : describe(report, options)));
    return report.incomplete.length > 0 ? EXIT_INCOMPLETE : agrees(report) ? 0 : 1;
  } catch (error) {
    throw explained(error);
  } finally {
    await backends.stop();
  }
}

/** Returns the error for the operator. An error of Postgres or of the network needs no stack, and has a code. */
function explained(error: unknown): unknown {
  const cause = causeOf(error);
  if (isSchemaBehind(cause)) {
    return new StartupError('the schema is missing or of an older release: run "npm run migrate"', { cause });
  }
  const { code } = (cause ?? {}) as { code?: unknown };
  return code === undefined ? error : new StartupError(`reconcile has failed: ${reasonOf(cause)}`, { cause });
}

async function parseOptions(args: string[], { lifetimes }: Config, directory: string) {
  let values: {
    repair?: boolean;
    adopt?: boolean;
    json?: boolean;
    'min-age-hours'?: string;
    'max-repairs'?: string;
    'user-ids'?: string;
  };
  let userIds: string[];
  try {
    ({ values } = parseArgs({
      args,
      options: {
        repair: { type: 'boolean' },
        adopt: { type: 'boolean' },
        json: { type: 'boolean' },
        'min-age-hours': { type: 'string' },
        'max-repairs': { type: 'string' },
        'user-ids': { type: 'string' },
      },
    }));
    const file = values['user-ids'];
    userIds = file === undefined ? [] : await linesOf(resolve(directory, file));
  } catch (error) {
    return (error as Error).message;
  }
  if (values.repair && values.adopt) return '--repair and --adopt exclude each other: adopt first';
  // An object that is younger than `leastSeconds` may belong to an upload that is still running. So `--repair` must not
  // remove it, and a smaller `--min-age-hours` is refused.
  const leastSeconds = lifetimes.urlSeconds + lifetimes.longestUploadSeconds;
  const ageHours = Number(values['min-age-hours'] ?? Math.max(MIN_AGE_HOURS_DEFAULT, leastSeconds / 3_600));
  const maxRepairs = Number(values['max-repairs'] ?? MAX_REPAIRS_DEFAULT);
  if (!(ageHours * 3_600 >= leastSeconds)) {
    return `--min-age-hours must be at least ${(leastSeconds / 3_600).toFixed(2)}: the sum of PRESIGN_TTL_SECONDS and LONGEST_UPLOAD_SECONDS`;
  }
  if (!Number.isSafeInteger(maxRepairs) || maxRepairs < 0) return '--max-repairs must be a whole number';
  return {
    writeWindowHours: Math.ceil(leastSeconds / 3_600),
    action: values.adopt ? ('adopt' as const) : values.repair ? ('repair' as const) : ('report' as const),
    json: values.json ?? false,
    minAgeSeconds: ageHours * 3_600,
    maxRepairs,
    userIds,
  };
}

async function linesOf(path: string): Promise<string[]> {
  return (await readFile(path, 'utf8')).split(/\r?\n/).filter(Boolean);
}

function progressOn(terminal: Terminal) {
  const draw = createProgressLine(terminal);
  return ({ rows, objects }: { rows: number; objects: number }) =>
    draw((seconds) => `${rows} rows, ${objects} objects, ${Math.round(objects / seconds)} objects/s`);
}

/** Splitting at line ends is safe, because JSON escapes the line ends inside strings. */
function jsonLines(report: ReconcileReport): string[] {
  return JSON.stringify(report, null, 2).split('\n');
}

interface DescribeOptions extends Pick<ReconcileOptions, 'action'> {
  /** After these hours, no URL that the service has given out until now can write any more. */
  writeWindowHours: number;
}

function describe(report: ReconcileReport, { action, writeWindowHours }: DescribeOptions): string[] {
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
