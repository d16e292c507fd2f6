import { isIPv6 } from 'node:net';
import { createTerminal } from './cli/terminal.ts';
import { ConfigError, readConfig, VARIABLES } from './config/config.ts';
import { StartupError } from './config/startup-error.ts';
import { createLogger, redact } from './observability/telemetry.ts';

/**
 * The one file that knows of a process: its arguments, its environment, its
 * signals and its end. What each verb needs is imported when it is asked for.
 */

const VERBS: Record<string, { summary: string; run: () => Promise<void> }> = {
  serve: { summary: 'run the service', run: serve },
  migrate: { summary: 'bring the schema of DATABASE_URL up to date', run: migrate },
  upload: { summary: 'upload files to a running service', run: upload },
  reconcile: { summary: 'compare bucket and table; with --repair, mend them', run: reconcile },
  compile: { summary: 'have Node compile the service, for its first start', run: compile },
  config: { summary: 'print every variable, its default and its meaning', run: printVariables },
};

/**
 * Ctrl-C reaches a service under npm twice: from the terminal, and passed on by
 * npm. Only what comes later than this is somebody who does not want to wait.
 */
const REPEATED_SIGNAL_MS = 1_000;

/** What a stop takes at most after its delay. With the usual one it is less than the ten seconds after which Docker kills. */
const STOP_TIMEOUT_MS = 8_500;

const terminal = createTerminal(process.stdout, process.stderr);

async function serve(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLogger(config.logLevel);
  // Before anything is loaded: as process 1 of a container, a process without a handler ignores the signal.
  let stopping = false;
  onStopSignal(async (signal) => {
    stopping = true;
    log.info({ signal }, 'stopping');
    // Whoever presses Ctrl-C waits for the end, and is no load balancer.
    const delayMs = signal === 'SIGTERM' ? config.stopDelaySeconds * 1_000 : 0;
    setTimeout(() => fail(new StartupError('it did not stop in time: ended')), delayMs + STOP_TIMEOUT_MS);
    const app = await starting;
    await app.stop(delayMs);
    log.info('stopped');
  });
  const starting = import('./server/app.ts').then(({ startApp }) => startApp(config, log));

  const { grpcPort, httpPort, onStrayError, prepared } = await starting;
  outliveStrayErrors(onStrayError);
  if (stopping) return;
  log.info({ host: config.host, grpcPort, httpPort }, 'serving');
  await prepared;
  if (stopping) return;
  // Its commands are in plain text.
  if (config.backend.kind === 'embedded' && config.tls === undefined) {
    const { welcome } = await import('./dev/welcome.ts');
    terminal.print(
      ...welcome({ ...config, grpcPort, httpPort })
        .trimEnd()
        .split('\n'),
      '',
    );
  }
}

async function migrate(): Promise<void> {
  const { backend, databasePooler } = readConfig(process.env);
  if (backend.kind === 'embedded') {
    throw new ConfigError(['DATABASE_URL is required: the embedded Postgres is migrated at each start']);
  }
  const { migrateAt } = await import('./postgres/migrate.ts');
  const done = await migrateAt(backend.databaseUrl, databasePooler);
  for (const { migrationName, status } of done) terminal.print(`${migrationName}: ${status}`);
  terminal.print(done.length === 0 ? 'the schema is up to date' : 'done');
}

async function reconcile(): Promise<void> {
  const config = readConfig(process.env);
  const { runReconcile } = await import('./cli/reconcile.ts');
  process.exitCode = await runReconcile(process.argv.slice(3), config, createLogger('warn'), terminal);
}

async function upload(): Promise<void> {
  const { host, httpPort, tls, userIdHeader, gateway } = readConfig(process.env);
  const { runUpload } = await import('./cli/upload.ts');
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());
  const address = {
    url: `http${tls ? 's' : ''}://${isIPv6(host) ? `[${host}]` : host}:${httpPort}`,
    userIdHeader,
    gatewayToken: gateway.kind === 'token' ? gateway.tokens[0] : undefined,
  };
  process.exitCode = await runUpload(process.argv.slice(3), address, terminal, interrupted.signal);
}

/**
 * Loads what `serve` may load: Node keeps what it compiles where NODE_COMPILE_CACHE says. So even the first start in earnest
 * need not take types away, and what Node loads for that would stay in its memory.
 */
async function compile(): Promise<void> {
  await Promise.all([import('./server/app.ts'), import('./dev/embedded.ts'), import('./dev/welcome.ts')]);
}

async function printVariables(): Promise<void> {
  for (const [name, { default: fallback, desc }] of Object.entries(VARIABLES)) {
    terminal.print(`${name.padEnd(24)} ${String(fallback ?? '').padEnd(12)} ${desc}`);
  }
}

/**
 * An error that nobody waits for has ended its own call, at most; all others go on. That is right here: nothing is kept
 * in the process (the rows are the truth, and each step is one statement), so there is nothing that could be left half
 * done, while a process that ends breaks every call under way.
 */
function outliveStrayErrors(onStrayError: (error: unknown) => void): void {
  process.off('uncaughtException', fail);
  process.on('uncaughtException', onStrayError);
}

/** The first signal stops in order, a second one at once. */
function onStopSignal(stop: (signal: string) => Promise<void>): void {
  let firstMs: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (firstMs === undefined) {
        firstMs = performance.now();
        stop(signal).then(() => process.exit(0), fail);
      } else if (performance.now() - firstMs > REPEATED_SIGNAL_MS) {
        process.exit(1);
      }
    });
  }
}

/** What keeps it from starting is told in its own words; anything else with where it came from. */
function fail(error: unknown): void {
  const text = error instanceof StartupError ? error.message : error instanceof Error ? error.stack : error;
  terminal.complain(...indented(redact(String(text))));
  process.exit(1);
}

/** An error may repeat what a server or another user wrote: no further line of it looks like one of ours. */
function indented(text: string): string[] {
  return text.split('\n').map((line, i) => (i === 0 || line.startsWith('  ') ? line : `  ${line}`));
}

// Until the service serves, an error that nobody waits for ends it as any other does; a rejection is one of these too.
process.on('uncaughtException', fail);

const verb = process.argv[2] ?? 'serve';
const chosen = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
if (chosen === undefined) {
  const list = Object.entries(VERBS).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`);
  terminal.complain('usage: node src/main.ts VERB', '', ...list);
  process.exit(2);
}
chosen.run().catch(fail);
