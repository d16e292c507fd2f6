/**
 * `src` holds one folder per subject (`src/README.md` lists them as rooms) and this file: the entry point,
 * and the only file that touches the process, its arguments, environment, signals and exit code. Each command
 * of the command line (`VERBS`) imports its code when it runs, so that it loads only what it needs. Work of a
 * command belongs in `src/cli`, the construction of the service in `src/server`. No other file belongs in the
 * root of `src`.
 */
import { fstatSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import type { Readable } from 'node:stream';
import { createTerminal } from './cli/terminal.ts';
import type { UploadContext } from './cli/upload.ts';
import { asksForHelp, EXIT_INTERRUPTED, printHelp, refuseArguments } from './cli/usage.ts';
import { readClientConfig, readConfig, SETTINGS } from './config/config.ts';
import { StartupError } from './config/startup-error.ts';
import { redact } from './observability/redact.ts';

/** The commands by the first argument of the process. A command with `takesArguments` may have further arguments. */
const VERBS: Record<string, { summary: string; run: () => Promise<void>; takesArguments?: true }> = {
  serve: { summary: 'run the service', run: serve },
  migrate: { summary: 'bring the schema of DATABASE_URL up to date', run: migrate },
  upload: { summary: 'upload files and directories to a running service', run: upload, takesArguments: true },
  reconcile: {
    summary: 'compare bucket and table; with --repair, repair the differences',
    run: reconcile,
    takesArguments: true,
  },
  doctor: {
    summary: 'probe bucket and database, and print what they guarantee',
    run: doctor,
    takesArguments: true,
  },
  events: {
    summary: 'replay: announce READY files again to the consumer of events',
    run: events,
    takesArguments: true,
  },
  compile: { summary: 'fill the compile cache of Node for the first start', run: compile },
  config: { summary: 'print every variable, its default and its meaning', run: printVariables },
};

/**
 * A second signal within this time after the first is ignored. If npm started the service, one Ctrl-C reaches the
 * service twice: from the terminal, and forwarded by npm. Only a later signal means that the user does not want to
 * wait.
 */
const REPEATED_SIGNAL_MS = 1_000;

/**
 * The longest duration of a stop after its delay (STOP_DELAY_SECONDS, 1 s by default). The default delay and this
 * duration together are less than the ten seconds after which Docker kills the process.
 */
const STOP_TIMEOUT_MS = 8_500;

/** The exit code that a shell reports for SIGPIPE: 128 plus the number of the signal. */
const EXIT_BROKEN_PIPE = 141;

const terminal = createTerminal(process.stdout, process.stderr, process.env.TERM);

async function serve(): Promise<void> {
  const config = readConfig(process.env);
  const logging = newLogger(config.operation.logLevel);
  // The handler is set before other code is loaded: a process without a handler ignores the signal if it is
  // process 1 of a container.
  let stopping = false;
  onStopSignal(async (signal) => {
    stopping = true;
    const log = await logging;
    log.info({ signal }, 'stopping');
    // A load balancer needs the delay to notice that this instance stops. Deployments send SIGTERM. SIGINT comes from
    // a user who presses Ctrl-C and waits for the end, so there is no delay.
    const delayMs = signal === 'SIGTERM' ? config.operation.stopDelaySeconds * 1_000 : 0;
    setTimeout(
      () => fail(new StartupError('the service did not stop in time and was ended')),
      delayMs + STOP_TIMEOUT_MS,
    );
    const app = await starting;
    await app.stop(delayMs);
    log.info('stopped');
  });
  const starting = Promise.all([import('./server/app.ts'), logging]).then(([{ startApp }, log]) =>
    startApp(config, log),
  );

  const { grpcPort, httpPort, onStrayError, prepared } = await starting;
  outliveStrayErrors(onStrayError);
  if (stopping) return;
  const log = await logging;
  log.info({ host: config.listen.host, grpcPort, httpPort }, 'serving');
  await prepared;
  if (stopping) return;
  // With TLS there is no welcome text, because the commands in it use plaintext connections.
  if (config.backend.kind === 'embedded' && config.tls === undefined) {
    const { welcome } = await import('./dev/welcome.ts');
    terminal.print(
      ...welcome({ ...config, host: config.listen.host, grpcPort, httpPort })
        .trimEnd()
        .split('\n'),
      '',
    );
  }
}

async function migrate(): Promise<void> {
  const config = readConfig(process.env);
  const { runMigrate } = await import('./cli/migrate.ts');
  await runMigrate(config, terminal);
}

async function reconcile(): Promise<void> {
  const { runReconcile } = await import('./cli/reconcile.ts');
  const log = await newLogger('warn');
  process.exitCode = await runReconcile(verbArguments, readConfigNow, log, terminal, userDirectory());
}

async function doctor(): Promise<void> {
  const { runDoctor } = await import('./cli/doctor.ts');
  const signal = interruption();
  process.exitCode = await runDoctor(
    verbArguments,
    readConfigNow,
    await newLogger('error'),
    terminal,
    signal,
  );
}

async function events(): Promise<void> {
  const { runEvents } = await import('./cli/events.ts');
  const signal = interruption();
  process.exitCode = await runEvents(
    verbArguments,
    readConfigNow,
    await newLogger('error'),
    terminal,
    signal,
  );
}

async function upload(): Promise<void> {
  const { runUpload } = await import('./cli/upload.ts');
  process.exitCode = await runUpload(verbArguments, uploadContext, terminal, interruption());
}

/** Commands call this function when they need the settings: `--help` must work in a wrong environment. */
function readConfigNow() {
  return readConfig(process.env);
}

/** `npm run upload` calls this function when it needs the settings, as the other commands call `readConfigNow`. */
function uploadContext(): UploadContext {
  const { listen, tls, userIdHeader, gateway } = readClientConfig(process.env);
  const { host, httpPort } = listen;
  return {
    url: `http${tls ? 's' : ''}://${isIPv6(host) ? `[${host}]` : host}:${httpPort}`,
    userIdHeader,
    gatewayToken: gateway.kind === 'token' ? gateway.tokens[0] : undefined,
    openStdin,
    directory: userDirectory(),
    md5CachePath: join(cacheDirectory(), 'file-service', 'md5s'),
  };
}

/** `upload` needs no log, so it does not load pino, which takes 8 MB of memory and 10 ms. */
async function newLogger(level: string) {
  const { createLogger } = await import('./observability/logger.ts');
  return createLogger(level);
}

/**
 * Returns standard input. Throws for a directory, because Node reads a directory as if it were empty, so the command
 * would store an empty file.
 */
function openStdin(): Readable {
  const { stdin } = process;
  if (fstatSync(stdin.fd).isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' });
  return stdin;
}

/**
 * The directory in which the user typed the command. npm runs a command in the folder of the package, and names the
 * user's directory in INIT_CWD. The variable counts only if npm runs this very command: in another script of npm, the
 * script itself may have changed the directory.
 */
function userDirectory(): string {
  const { INIT_CWD, npm_lifecycle_event } = process.env;
  return INIT_CWD !== undefined && npm_lifecycle_event === verb ? INIT_CWD : process.cwd();
}

/** The directory for data that programs of this user can compute again (XDG Base Directory Specification). */
function cacheDirectory(): string {
  const { XDG_CACHE_HOME = '' } = process.env;
  return isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache');
}

/**
 * Returns an AbortSignal that aborts at the first SIGINT or SIGTERM. The command then cleans up and ends by itself. A
 * second signal ends the process at once, unless it follows the first within REPEATED_SIGNAL_MS.
 */
function interruption(): AbortSignal {
  const interrupted = new AbortController();
  onSignals(
    () => interrupted.abort(),
    () => process.exit(EXIT_INTERRUPTED),
  );
  return interrupted.signal;
}

/**
 * Loads everything that `serve` may load, so that Node writes the compiled code to NODE_COMPILE_CACHE. After that,
 * even the first start of the service need not remove the TypeScript types from its files. So Node does not load its
 * code for removing types, which would stay in memory.
 */
async function compile(): Promise<void> {
  await Promise.all([
    import('./server/app.ts'),
    import('./observability/logger.ts'),
    import('./dev/embedded.ts'),
    import('./dev/welcome.ts'),
  ]);
}

async function printVariables(): Promise<void> {
  for (const { variable, default: fallback, desc } of SETTINGS) {
    terminal.print(`${variable.padEnd(24)} ${String(fallback ?? '').padEnd(12)} ${desc}`);
  }
}

/**
 * Keeps the process alive after an uncaught error. Such an error has ended at most the call that caused it;
 * all other calls go on. Going on is safe for the files, because the process keeps no state of files in memory: their
 * state is in the rows of the database, and each step changes a row with one statement. If the process ended, it
 * would break all calls that it is working on.
 */
function outliveStrayErrors(onStrayError: (error: unknown) => void): void {
  process.off('uncaughtException', fail);
  process.on('uncaughtException', onStrayError);
}

/**
 * The first signal calls `stop`, and the process ends when `stop` has ended. A later signal ends the process at once,
 * unless it follows the first within REPEATED_SIGNAL_MS.
 */
function onStopSignal(stop: (signal: string) => Promise<void>): void {
  onSignals(
    (signal) => void stop(signal).then(() => process.exit(0), fail),
    () => process.exit(1),
  );
}

/** The first signal calls `stop`. A later signal calls `end`, unless it follows the first within REPEATED_SIGNAL_MS. */
function onSignals(stop: (signal: string) => void, end: () => void): void {
  let firstMs: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (firstMs === undefined) {
        firstMs = performance.now();
        stop(signal);
      } else if (performance.now() - firstMs > REPEATED_SIGNAL_MS) {
        end();
      }
    });
  }
}

/**
 * Ends the process without an error message when the reader of its output has ended, as `head` does after ten lines.
 * Other programs end in this way by the signal SIGPIPE, but Node ignores SIGPIPE.
 */
function endWithReader(): void {
  for (const output of [process.stdout, process.stderr]) {
    output.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      process.exit(EXIT_BROKEN_PIPE);
    });
  }
}

/**
 * Prints the error and ends the process. A StartupError is printed as its message; any other error with its
 * stack.
 */
function fail(error: unknown): void {
  const text = error instanceof StartupError ? error.message : error instanceof Error ? error.stack : error;
  terminal.complain(...indented(redact(String(text))));
  process.exit(1);
}

/**
 * Indents all lines but the first. An error may repeat text of a server or of another user, and no line of
 * that text must look like a line of this program.
 */
function indented(text: string): string[] {
  return text.split('\n').map((line, i) => (i === 0 || line.startsWith('  ') ? line : `  ${line}`));
}

// Until the service serves, an uncaught error ends the process as any other error does. An unhandled
// rejection counts as an uncaught error.
process.on('uncaughtException', fail);

const [verb = 'serve', ...verbArguments] = process.argv.slice(2);
const chosen = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
if (chosen === undefined || (verbArguments.length > 0 && !chosen.takesArguments)) {
  // `npm run migrate -- --help` must print the help and must not migrate.
  const isHelp = asksForHelp(chosen ? verbArguments : [verb]);
  const list = Object.entries(VERBS).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`);
  const usage = ['usage: node src/main.ts VERB', '', ...list];
  const problem = chosen ? `the verb ${verb} takes no arguments` : `there is no verb ${verb}`;
  process.exit(isHelp ? printHelp(terminal, usage) : refuseArguments(terminal, problem, usage));
}
// `serve` goes on if the reader of its output has ended, because its callers need no output.
if (verb !== 'serve') endWithReader();
chosen.run().catch(fail);
