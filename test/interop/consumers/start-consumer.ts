import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeliverFileEventRequest } from '../../../gen/files/v1/file_events_service_pb.ts';
import { anyFreePort } from '../../../src/dev/postgres/free-port.ts';
import { dyingWithParent } from '../../harness/service-process.ts';
import { answers } from '../../servers/server-program.ts';
import type { BuiltConsumer, Consumer } from './consumer.ts';

/** A virtual machine of Java takes most of it, beside other tests. */
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 20;

export interface RunningConsumer extends AsyncDisposable {
  readonly eventsUrl: string;
  /** The lines that the consumer has printed so far: one for each delivery. */
  lines(): string[];
  deliveries(): DeliverFileEventRequest[];
}

/**
 * Starts a consumer on a free port of loopback.
 *
 * @param token the token that the consumer expects. `undefined`: its engineer forgot to set one
 */
export async function startConsumer(
  { eventsUrl, parse }: Consumer,
  { command, options }: BuiltConsumer,
  token: string | undefined,
): Promise<RunningConsumer> {
  await using starting = new AsyncDisposableStack();
  const port = await anyFreePort();
  const [program, ...args] = dyingWithParent(command);
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...options.env, EVENTS_TOKEN: token, HOST: '127.0.0.1', PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text;
    });
  }
  const exit = once(child, 'exit');
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  starting.defer(async () => {
    child.kill('SIGTERM');
    if (!hasEnded()) await exit;
  });
  for (const deadline = Date.now() + START_TIMEOUT_MS; !(await answers(port)); await sleep(POLL_MS)) {
    if (hasEnded() || Date.now() > deadline)
      throw new Error(`the consumer did not start: ${printed.stdout}${printed.stderr}`);
  }
  // The last line may be incomplete.
  const lines = () => printed.stdout.split('\n').slice(0, -1);
  const started = starting.move();
  return {
    eventsUrl: eventsUrl(port),
    lines,
    deliveries: () => lines().map(parse),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
