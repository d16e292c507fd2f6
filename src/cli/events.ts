import { parseArgs } from 'node:util';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/config-error.ts';
import { reasonOf, StartupError } from '../config/startup-error.ts';
import type { FileRef } from '../files/file.ts';
import type { EventQueue } from '../files/ports/event-queue.ts';
import { parseS3Key } from '../files/rules/s3-key.ts';
import { isSchemaBehind } from '../postgres/connection/error-classes.ts';
import { causeOf } from '../server/backends/cause-of.ts';
import { backendsForEvents } from '../server/backends/for-events.ts';
import { withBackends } from '../server/backends/with-backends.ts';
import { createProgressLine } from './progress-line.ts';
import type { Terminal } from './terminal.ts';
import { filesText } from './upload/output/quantities.ts';
import { asksForHelp, EXIT_INTERRUPTED, printHelp, refuseArguments } from './usage.ts';

const USAGE = `usage: npm run events -- replay [--user ID] [--since TIME] [--after ID,KEY]

Announces READY files again: for a consumer of events that is new or has lost its data. The running instances of the
service deliver the events to EVENTS_URL.
  --user ID       only the files of this user, as the gateway names the user
  --since TIME    only files that became READY, or were verified again, at TIME or later:
                  2026-11-27 (UTC) or 2026-11-27T04:00:00Z
  --after ID,KEY  continue behind this file; an interrupted replay prints the option
  --help          print this text
Exit code: 0 if the files will be announced; 1 if not all will; 2 for wrong arguments; 130 after an interruption.`.split(
  '\n',
);

/** The most files that one statement of `replayEvents` examines. */
const BATCH_FILES = 100;

/** The longest time for one batch, with the wait for a connection. */
const BATCH_TIMEOUT_MS = 60_000;

interface Replay {
  userId: string | undefined;
  since: Date | undefined;
  after: FileRef | undefined;
}

/** What has been replayed. `next`: the last of these files, if others follow. */
interface Outcome {
  replayed: number;
  next: FileRef | undefined;
  error?: unknown;
}

/**
 * The operator's command `npm run events -- replay` makes the events of READY files due again. The command only changes
 * rows. The dispatchers of the running instances deliver the events.
 *
 * @returns the exit code
 */
export async function runEvents(
  args: string[],
  readConfig: () => Config,
  log: Logger,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  if (asksForHelp(args)) return printHelp(terminal, USAGE);
  const replay = parseArguments(args);
  if (typeof replay === 'string') return refuseArguments(terminal, replay, USAGE);
  const config = readConfig();
  if (config.events === undefined) {
    throw new ConfigError(['EVENTS_URL is required, because without it no instance delivers events']);
  }
  return withBackends(config, log, backendsForEvents(config), signal, async ({ events }) => {
    const outcome = await replayAll(events, replay, terminal, signal);
    terminal.progress('');
    return report(outcome, replay, terminal);
  });
}

/** Replays batch after batch. After an error or an abort, the batches before it stay replayed. */
async function replayAll(
  queue: Pick<EventQueue, 'replayEvents'>,
  { userId, since, after }: Replay,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Outcome> {
  const draw = createProgressLine(terminal);
  const outcome: Outcome = { replayed: 0, next: after };
  do {
    try {
      const work = { deadline: Date.now() + BATCH_TIMEOUT_MS };
      const batch = await queue.replayEvents(work, BATCH_FILES, { userId, since }, outcome.next);
      outcome.replayed += batch.replayed;
      outcome.next = batch.next;
    } catch (error) {
      return { ...outcome, error };
    }
    draw((seconds) => `${outcome.replayed} files, ${Math.round(outcome.replayed / seconds)} files/s`);
  } while (outcome.next !== undefined && !signal.aborted);
  return outcome;
}

function report({ replayed, next, error }: Outcome, replay: Replay, terminal: Terminal): number {
  const cause = causeOf(error);
  if (isSchemaBehind(cause)) {
    throw new StartupError(
      'the table has no columns for events: run "npm run migrate" of this release first',
      { cause },
    );
  }
  terminal.print(`${filesText(replayed)} will be announced`);
  if (error !== undefined) terminal.complain(`the replay has failed: ${reasonOf(cause)}`);
  if (next !== undefined) terminal.complain(`to continue: ${commandFor({ ...replay, after: next })}`);
  if (error !== undefined) return 1;
  return next === undefined ? 0 : EXIT_INTERRUPTED;
}

function commandFor({ userId, since, after }: Replay): string {
  return [
    'npm run events -- replay',
    ...(userId === undefined ? [] : ['--user', quoted(userId)]),
    ...(since === undefined ? [] : ['--since', since.toISOString()]),
    ...(after === undefined ? [] : ['--after', quoted(`${after.userId},${after.s3Key}`)]),
  ].join(' ');
}

/** Quotes a text for a shell. A user id may contain every visible character but the comma. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function parseArguments(args: string[]): Replay | string {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { user: { type: 'string' }, since: { type: 'string' }, after: { type: 'string' } },
    });
    const [command, ...others] = positionals;
    if (command !== 'replay' || others.length > 0) return 'the only command of events is replay';
    if (values.user === '') return '--user has no value';
    const since = values.since === undefined ? undefined : parseTime(values.since);
    const after = values.after === undefined ? undefined : parseAfter(values.after);
    return { userId: values.user, since, after };
  } catch (error) {
    return (error as Error).message;
  }
}

/** A time without a zone is refused, because it means another time on another machine. */
function parseTime(text: string): Date {
  const time = new Date(text);
  const hasForm = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  if (hasForm && !Number.isNaN(time.getTime())) return time;
  throw new Error('--since must have the form 2026-11-27 or 2026-11-27T04:00:00Z');
}

function parseAfter(text: string): FileRef {
  const [, userId = '', s3Key = ''] = /^([^,]+),([^,]+)$/s.exec(text) ?? [];
  if (userId === '') throw new Error('--after must have the form ID,KEY');
  return { userId, s3Key: parseS3Key(s3Key) };
}
