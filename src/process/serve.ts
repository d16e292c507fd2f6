/**
 * `src/process` is the only folder that touches the process: its environment, signals, streams and exit code. It
 * starts the service and the commands with these, and shows their errors. Work of a command belongs in `src/cli`, the
 * construction of the service in `src/server`. These files import little when they are loaded, because `serve` sets
 * its signal handler before it loads the service, and `upload` needs no part of the service.
 */
import { type Config, readConfig } from '../config/config.ts';
import { StartupError } from '../config/startup-error.ts';
import { fail, outliveUncaughtErrors } from './failure.ts';
import { onStopSignal } from './signals.ts';
import { terminal } from './terminal.ts';

/**
 * The longest duration of a stop after its delay (STOP_DELAY_SECONDS, 1 s by default). The default delay and this
 * duration together are less than the ten seconds after which Docker kills the process.
 */
const STOP_TIMEOUT_MS = 8_500;

/** Runs the service until a signal stops it. */
export async function serve(): Promise<void> {
  const config = readConfig(process.env);
  const logging = import('../observability/logger.ts').then(({ createLogger }) =>
    createLogger(config.operation.logLevel),
  );
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
  const starting = Promise.all([import('../server/app.ts'), logging]).then(([{ startApp }, log]) =>
    startApp(config, log),
  );

  const { grpcPort, httpPort, onStrayError, prepared, certificates } = await starting;
  outliveUncaughtErrors(onStrayError);
  if (stopping) return;
  const log = await logging;
  log.info({ host: config.listen.host, grpcPort, httpPort }, 'serving');
  await prepared;
  if (!stopping) await welcomeUser(config, grpcPort, httpPort, certificates?.current.cert.toString());
}

/** @param pem the certificate of a service with TLS */
async function welcomeUser(
  { backend, listen, tls, userIdHeader, gateway }: Config,
  grpcPort: number,
  httpPort: number,
  pem: string | undefined,
): Promise<void> {
  if (backend.kind !== 'embedded') return;
  const { welcome } = await import('../dev/welcome.ts');
  const certificate = tls && pem !== undefined ? { path: tls.cert, pem } : undefined;
  const text = welcome({ host: listen.host, grpcPort, httpPort, userIdHeader, gateway, certificate });
  terminal.print(...text.trimEnd().split('\n'), '');
}

/**
 * Loads everything that `serve` may load, so that Node writes the compiled code to NODE_COMPILE_CACHE. After that,
 * even the first start of the service need not remove the TypeScript types from its files. So Node does not load its
 * code for removing types, which would stay in memory.
 */
export async function compile(): Promise<void> {
  await Promise.all([
    import('../server/app.ts'),
    import('../observability/logger.ts'),
    import('../dev/embedded.ts'),
    import('../dev/welcome.ts'),
  ]);
}
