import { EXIT_INTERRUPTED } from '../cli/usage.ts';
import { fail } from './failure.ts';

/**
 * A second signal within this time after the first is ignored. If npm started the service, one Ctrl-C reaches the
 * service twice: from the terminal, and forwarded by npm. Only a later signal means that the user does not want to
 * wait.
 */
const REPEATED_SIGNAL_MS = 1_000;

type StopSignal = 'SIGINT' | 'SIGTERM';

/** For the service: the first signal calls `stop`, and the process ends when `stop` has ended. */
export function onStopSignal(stop: (signal: StopSignal) => Promise<void>): void {
  onSignals(
    (signal) => void stop(signal).then(() => process.exit(0), fail),
    () => process.exit(1),
  );
}

/** For a command: the first signal aborts the AbortSignal. The command then cleans up and ends by itself. */
export function interruption(): AbortSignal {
  const interrupted = new AbortController();
  onSignals(
    () => interrupted.abort(),
    () => process.exit(EXIT_INTERRUPTED),
  );
  return interrupted.signal;
}

/** The first signal calls `stop`. A later signal calls `end`, unless it follows the first within REPEATED_SIGNAL_MS. */
function onSignals(stop: (signal: StopSignal) => void, end: () => void): void {
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
