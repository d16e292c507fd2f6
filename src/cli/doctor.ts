import { parseArgs } from 'node:util';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { examine, verdictOf } from '../doctor/examine.ts';
import { DATABASE_ROWS } from '../doctor/postgres/rows.ts';
import { bucketRows } from '../doctor/s3/rows.ts';
import type { Backends } from '../server/backends/backends.ts';
import { backendsForDoctor, probedBucket, probedDatabase } from '../server/backends/for-doctor.ts';
import { withBackends } from '../server/backends/with-backends.ts';
import { type DoctorReport, describeReport } from './doctor-report.ts';
import type { Terminal } from './terminal.ts';
import { asksForHelp, EXIT_INTERRUPTED, printHelp, refuseArguments } from './usage.ts';

const USAGE = `usage: npm run doctor -- [--origin ORIGIN] [--json]

Probes the configured bucket and database, and prints what they guarantee. Removes whatever it uploads.
  --origin ORIGIN  also examine whether pages of this origin (https://app.example.com) may upload
  --json           print the report as JSON
  --help           print this text
Exit code: 0 if every guarantee holds; 1 if one does not; 2 for wrong arguments; 3 if one cannot be told; 130 after an interruption.`.split(
  '\n',
);

const EXIT_CODES = { holds: 0, broken: 1, unknown: 3 };

/** The operator's command `npm run doctor`. @returns the exit code */
export async function runDoctor(
  args: string[],
  readConfig: () => Config,
  log: Logger,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  if (asksForHelp(args)) return printHelp(terminal, USAGE);
  const options = parseOptions(args);
  if (typeof options === 'string') return refuseArguments(terminal, options, USAGE);
  const config = readConfig();
  return withBackends(config, log, backendsForDoctor(config), signal, async (backends) => {
    const report = await makeReport(backends, config, options.origin, signal);
    terminal.print(...(options.json ? JSON.stringify(report, null, 2).split('\n') : describeReport(report)));
    return signal.aborted ? EXIT_INTERRUPTED : EXIT_CODES[report.verdict];
  });
}

async function makeReport(
  backends: Backends,
  config: Config,
  origin: string | undefined,
  signal: AbortSignal,
): Promise<DoctorReport> {
  const startMs = performance.now();
  const given = { publicEndpoint: config.storage.publicEndpoint !== undefined, origin: origin !== undefined };
  const { bucket, traces } = probedBucket(backends, config, origin, signal);
  const [s3, postgres] = await Promise.all([
    examine(bucketRows(given), bucket),
    examine(DATABASE_ROWS, probedDatabase(backends, config)),
  ]);
  const left = await traces.remove();
  const { requests, bytes } = traces;
  return {
    verdict: verdictOf([...s3, ...postgres]),
    bucket: { url: backends.located.url.href, region: backends.located.region, rows: s3 },
    database: { rows: postgres },
    sent: { requests, bytes, seconds: (performance.now() - startMs) / 1_000 },
    left,
  };
}

function parseOptions(args: string[]) {
  try {
    const options = { json: { type: 'boolean' }, origin: { type: 'string' } } as const;
    const { values } = parseArgs({ args, options });
    const { json = false, origin } = values;
    if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).origin !== origin)) {
      return '--origin must have the form https://HOST or https://HOST:PORT';
    }
    return { json, origin };
  } catch (error) {
    return (error as Error).message;
  }
}
