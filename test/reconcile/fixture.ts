/** `npm run reconcile` beside a running service, and the differences between its table and its bucket. */
import { runReconcile } from '../../src/cli/reconcile.ts';
import { readConfig } from '../../src/config/config.ts';
import type { ReconcileReport } from '../../src/files/maintenance/reconcile-report.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { captureTerminal } from '../harness/captured-terminal.ts';
import { put } from '../harness/put.ts';
import { md5 } from '../harness/random.ts';
import { type ChangeAnswer, changeListings } from '../harness/s3-answers.ts';
import type { TestService } from '../harness/service.ts';

/**
 * Creates files with these numbers, uploads them and lists them, so that their rows are READY.
 *
 * @param atOnce how many are uploaded at the same time
 * @returns their keys, in the order of the numbers
 */
export async function uploadFiles(
  service: TestService,
  user: string,
  numbers: number[],
  atOnce = 1,
): Promise<string[]> {
  const files = service.as(user);
  const upload = async (number: number) => {
    const bytes = `content ${number}`;
    const request = { filename: `${number}.txt`, mimeType: 'text/plain', md5: md5(bytes) };
    const answer = await files.createPresignedUpload(request);
    await put(answer, bytes);
    return answer.s3Key;
  };
  const keys: string[] = [];
  for (let i = 0; i < numbers.length; i += atOnce) {
    keys.push(...(await Promise.all(numbers.slice(i, i + atOnce).map(upload))));
  }
  await files.listFiles({});
  return keys;
}

/** Removes all rows and all objects, so that the next test begins with an empty table and an empty bucket. */
export async function removeAll({ pool, bucket }: TestService): Promise<void> {
  await pool.query('truncate files');
  for (const key of await bucket.keys()) await bucket.remove(key);
}

export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Settings with which `--min-age-hours` may be nearly zero. */
export const NO_AGE_GUARD = { PRESIGN_TTL_SECONDS: '1', LONGEST_UPLOAD_SECONDS: '0' };

/** The minimum age of an object is about a second. */
export const LEAST_AGE = ['--min-age-hours', '0.0003'];

/** What a terminal gets to remove the progress line. */
const CLEAR_LINE = '\r\x1b[K';

/** Runs the command like `src/process`, with its output captured. */
export async function run(service: TestService, args: string[], environment: Record<string, string> = {}) {
  const terminal = captureTerminal(true);
  const config = readConfig({ ...service.environment, ...environment });
  const code = await runReconcile(args, () => config, createLogger('silent'), terminal, '/');
  const progress = terminal.stderr.split(CLEAR_LINE).filter(Boolean);
  const isProgressLeft = progress.length > 0 && !terminal.stderr.endsWith(CLEAR_LINE);
  return { code, text: code === 2 ? terminal.stderr : terminal.stdout, progress, isProgressLeft };
}

/** Runs the command with `--json` on a bucket whose listings `change` alters, and returns the report. */
export async function reportOf(
  service: TestService,
  change: ChangeAnswer,
  args: string[],
): Promise<ReconcileReport & { code: number }> {
  await using proxy = await changeListings(service.bucket.endpoint, change);
  const environment = { ...NO_AGE_GUARD, S3_ENDPOINT: proxy.endpoint };
  const { code, text } = await run(service, ['--json', ...LEAST_AGE, ...args], environment);
  return { code, ...JSON.parse(text) };
}

/**
 * Changes a listing so that S3 seems to have received these objects at these times. Real servers set the time
 * themselves.
 */
export function withTimes(times: Record<string, Date>): ChangeAnswer {
  return (query, { status, body }) => ({
    status,
    body: body.replace(/<Contents>.*?<\/Contents>/gs, (object) => {
      const key = /<Key>(.*?)<\/Key>/s.exec(object)?.[1] ?? '';
      const time = times[key]?.toISOString();
      return time === undefined || query.has('uploads')
        ? object
        : object.replace(/(<LastModified>).*?(<\/LastModified>)/s, `$1${time}$2`);
    }),
  });
}

const HOUR_MS = 3_600_000;

/** Times that are days apart, as those of accidents with single files. */
export function scattered(keys: string[]): Record<string, Date> {
  return Object.fromEntries(keys.map((key, i) => [key, new Date(Date.now() - (i + 3) * 24 * HOUR_MS)]));
}

export const asListed: ChangeAnswer = (_, answer) => answer;
