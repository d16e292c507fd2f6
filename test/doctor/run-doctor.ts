import { pino } from 'pino';
import { runDoctor } from '../../src/cli/doctor.ts';
import { type DoctorReport, describeReport } from '../../src/cli/doctor-report.ts';
import { readConfig } from '../../src/config/config.ts';
import { captureTerminal } from '../harness/captured-terminal.ts';
import { s3Environment } from '../harness/s3-environment.ts';

interface Bucket {
  readonly bucket: string;
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

interface DoctorRun {
  code: number;
  report: DoctorReport;
  /** The lines that the command prints without `--json`. */
  lines: string[];
}

/** Runs `npm run doctor -- --json` with the variables of an operator. */
export async function diagnose(
  bucket: Bucket,
  databaseUrl: string,
  { args = [], environment = {} }: { args?: string[]; environment?: Record<string, string> } = {},
): Promise<DoctorRun> {
  const variables: Record<string, string> = {
    DATABASE_URL: databaseUrl,
    ...s3Environment(bucket),
    ...environment,
  };
  // The service finds these with the credential chain of the SDK, as in production.
  process.env.AWS_ACCESS_KEY_ID = variables.AWS_ACCESS_KEY_ID;
  process.env.AWS_SECRET_ACCESS_KEY = variables.AWS_SECRET_ACCESS_KEY;
  const terminal = captureTerminal();
  const log = pino({ level: 'silent' });
  const never = new AbortController().signal;
  const code = await runDoctor(['--json', ...args], () => readConfig(variables), log, terminal, never);
  const report: DoctorReport = JSON.parse(terminal.stdout);
  return { code, report, lines: describeReport(report) };
}

/** The titles of the rows about the bucket that have this answer. */
export function titled({ report }: DoctorRun, answer: string, isAdvice = false): string[] {
  return report.bucket.rows
    .filter((row) => row.answer === answer && (row.isAdvice === true) === isAdvice)
    .map(({ title }) => title);
}
