import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { reasonOf, StartupError } from '../config/startup-error.ts';
import { reconcile } from '../files/maintenance/reconcile.ts';
import { agrees, type ReconcileReport } from '../files/maintenance/reconcile-report.ts';
import { isSchemaBehind } from '../postgres/connection/error-classes.ts';
import { causeOf } from '../server/backends/cause-of.ts';
import { backendsForReconcile, reconcilePorts } from '../server/backends/for-reconcile.ts';
import { withBackends } from '../server/backends/with-backends.ts';
import { createProgressLine } from './progress-line.ts';
import { describeDifferences } from './reconcile-report.ts';
import type { Terminal } from './terminal.ts';
import { asksForHelp, printHelp, refuseArguments } from './usage.ts';

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
 * The operator's command `npm run reconcile` compares the rows of all files in Postgres (the table) with the objects in
 * the bucket, after a restore or an accident. The command may run while the service runs.
 *
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
  const neverAborted = new AbortController().signal;
  return withBackends(config, log, backendsForReconcile(config), neverAborted, async (backends) => {
    const onProgress = progressOn(terminal);
    const report = await reconcile(reconcilePorts(backends, config), { ...options, onProgress })
      .catch((error: unknown) => {
        throw explained(error);
      })
      .finally(() => terminal.progress(''));
    terminal.print(...(options.json ? jsonLines(report) : describeDifferences(report, options)));
    return report.incomplete.length > 0 ? EXIT_INCOMPLETE : agrees(report) ? 0 : 1;
  });
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

const OPTIONS = {
  repair: { type: 'boolean', default: false },
  adopt: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  'min-age-hours': { type: 'string' },
  'max-repairs': { type: 'string', default: String(MAX_REPAIRS_DEFAULT) },
  'user-ids': { type: 'string' },
} as const;

async function parseOptions(args: string[], { lifetimes }: Config, directory: string) {
  try {
    const { values } = parseArgs({ args, options: OPTIONS });
    const { repair, adopt, json, 'user-ids': file } = values;
    const userIds = file === undefined ? [] : await linesOf(resolve(directory, file));
    if (repair && adopt) return '--repair and --adopt exclude each other: adopt first';
    // An object that is younger than `leastSeconds` may belong to an upload that is still running. So `--repair` must
    // not remove it, and a smaller `--min-age-hours` is refused.
    const leastSeconds = lifetimes.urlSeconds + lifetimes.longestUploadSeconds;
    const ageHours = Number(values['min-age-hours'] ?? Math.max(MIN_AGE_HOURS_DEFAULT, leastSeconds / 3_600));
    const maxRepairs = Number(values['max-repairs']);
    if (!(ageHours * 3_600 >= leastSeconds)) {
      return `--min-age-hours must be at least ${(leastSeconds / 3_600).toFixed(2)}: the sum of PRESIGN_TTL_SECONDS and LONGEST_UPLOAD_SECONDS`;
    }
    if (!Number.isSafeInteger(maxRepairs) || maxRepairs < 0) return '--max-repairs must be a whole number';
    return {
      writeWindowHours: Math.ceil(leastSeconds / 3_600),
      action: adopt ? ('adopt' as const) : repair ? ('repair' as const) : ('report' as const),
      json,
      minAgeSeconds: ageHours * 3_600,
      maxRepairs,
      userIds,
    };
  } catch (error) {
    return (error as Error).message;
  }
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
