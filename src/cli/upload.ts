/**
 * `src/cli` has one file per command that a person runs beside the service (`upload`, `migrate`, `reconcile`,
 * `doctor`, `events`, `config`), and what these commands need to talk to a terminal: escaped output and the progress line. A
 * command parses its arguments, calls the code that does the work, and returns an exit code. The use of `process` does
 * not belong here, but in `src/process`.
 */
import type { Readable } from 'node:stream';
import { type Md5Cache, openMd5Cache } from '../client/node.ts';
import type { Terminal } from './terminal.ts';
import { parseUploadArguments, type UploadArguments, USAGE, USAGE_SHORT } from './upload/arguments.ts';
import { connect, type ServiceAddress } from './upload/connect.ts';
import { planUpload } from './upload/dry-run.ts';
import { failureOf, failureText } from './upload/failure.ts';
import { countFiles, type Totals } from './upload/find/count-files.ts';
import { itemsOf } from './upload/find/items.ts';
import { spool } from './upload/find/spool.ts';
import { distinctPaths } from './upload/find/walk.ts';
import { jsonReport } from './upload/output/json-report.ts';
import { quietReport, type Report, textReport } from './upload/output/report.ts';
import { retryLines } from './upload/output/retry-lines.ts';
import { showProgress } from './upload/output/show-progress.ts';
import type { RunEnd } from './upload/tally.ts';
import { newRunState, type RunState, uploadFiles } from './upload/upload-files.ts';
import { EXIT_INTERRUPTED, printHelp, refuseArguments } from './usage.ts';

/** What `src/process` gives to the command: the address of the service, standard input and paths. */
export interface UploadContext extends ServiceAddress {
  /**
   * Opens standard input. Called only if an argument is `-`.
   *
   * @throws Error EISDIR if standard input is a directory, ENODEV if it is a device that is no terminal
   */
  openStdin: () => Readable & { isTTY?: boolean };
  /** The directory to which relative paths refer. */
  directory: string;
  /** The file that keeps the MD5s of files, so that the next run need not read unchanged files again. */
  md5CachePath: string;
}

/**
 * Runs the command `npm run upload`.
 *
 * @param readContext is not called if the arguments ask for help or are wrong
 * @returns the exit code
 */
export async function runUpload(
  args: string[],
  readContext: () => UploadContext,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  const parsed = parseUploadArguments(args);
  if (parsed.kind === 'help') return printHelp(terminal, USAGE);
  if (parsed.kind === 'wrong') return refuseArguments(terminal, parsed.problem, USAGE_SHORT);
  const { upload } = parsed;
  const given = readContext();
  const context = { ...given, url: upload.url ?? given.url };
  const report = reportFor(upload, terminal);
  const code = upload.isDryRun
    ? await dryRun(upload, context, report, signal)
    : await realRun(upload, context, report, terminal, signal);
  return signal.aborted ? EXIT_INTERRUPTED : code;
}

function reportFor({ isJson, isQuiet }: UploadArguments, terminal: Terminal): Report {
  if (isJson) return jsonReport(terminal);
  return isQuiet ? quietReport(terminal) : textReport(terminal);
}

async function dryRun(
  upload: UploadArguments,
  { directory }: UploadContext,
  report: Report,
  signal: AbortSignal,
): Promise<number> {
  const paths = distinctPaths(upload.paths, directory);
  const spoolStdin = () => Promise.reject(new Error('a dry run does not read standard input'));
  const items = itemsOf({ paths, directory, name: undefined, spoolStdin });
  return (await planUpload(items, report, signal)) ? 0 : 1;
}

async function realRun(
  upload: UploadArguments,
  context: UploadContext,
  report: Report,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  const startMs = performance.now();
  const client = connect(context, upload.user);
  try {
    // This call fails at once if the address or the user is wrong. The calls for a file would be retried for two
    // minutes.
    await client.listFiles({ pageSize: 1 }, { signal });
  } catch (error) {
    if (!signal.aborted) terminal.complain(`${context.url}: ${failureText(failureOf(error))}`);
    return 1;
  }
  const state = newRunState();
  const md5Cache = upload.isCached ? await openMd5Cache(context.md5CachePath) : undefined;
  const end = await transfer(client, upload, state, { context, report, terminal, md5Cache, signal });
  await md5Cache?.save().catch((error: unknown) => complainOfCache(terminal, context.md5CachePath, error));
  report.finished(state.tally, { seconds: (performance.now() - startMs) / 1_000, end });
  // A run that has stopped has a failed file, and `runUpload` replaces the code of an interrupted run.
  return state.tally.failed === 0 ? 0 : 1;
}

function complainOfCache(terminal: Terminal, path: string, error: unknown): void {
  // The words of `failureOf` are about a file that is read, and this file is written.
  const message = error instanceof Error ? error.message : String(error);
  terminal.complain(
    `${path}: the MD5s cannot be kept: ${message}. To do: set XDG_CACHE_HOME, or use --no-cache.`,
  );
}

interface TransferOptions {
  context: UploadContext;
  report: Report;
  terminal: Terminal;
  md5Cache: Md5Cache | undefined;
  signal: AbortSignal;
}

/**
 * Uploads the files of the arguments and shows the progress. The copy of standard input stays open until all uploads
 * have ended.
 */
async function transfer(
  client: ReturnType<typeof connect>,
  { paths, name, concurrency, isQuiet }: UploadArguments,
  state: RunState,
  { context, report, terminal, md5Cache, signal }: TransferOptions,
): Promise<RunEnd> {
  const { directory, openStdin } = context;
  const sources = distinctPaths(paths, directory);
  const totals: Totals = { files: 0, bytes: 0, isComplete: false };
  await using stack = new AsyncDisposableStack();
  if (terminal.isWatched && !isQuiet) {
    stack.use(showProgress(terminal, totals, state));
    const counting = new AbortController();
    stack.defer(() => counting.abort());
    void countFiles(sources, directory, totals, counting.signal);
  }
  const onBytes = (bytes: number) => {
    totals.bytes += bytes;
  };
  const spoolStdin = async () => {
    const stdin = openStdin();
    if (stdin.isTTY) terminal.complain('-: type the content, and end it with Ctrl-D on a line of its own.');
    return stack.use(await spool(stdin, signal, onBytes));
  };
  const items = itemsOf({ paths: sources, directory, name, spoolStdin });
  const onRetry = isQuiet ? () => {} : retryLines(terminal);
  return await uploadFiles(client, items, state, { report, concurrency, md5Cache, signal, onRetry });
}
