import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { envelope } from '../resilience/http2-frames.ts';
import { gateway, type ProbedService } from './service.ts';

/** A request that an orchestrator or a gateway sends again and again. */
export interface Check {
  readonly name: string;
  readonly url: string;
  /** The process id of the service. */
  readonly pid: number;
  readonly httpVersion: 1 | 2;
  readonly headers: Readonly<Record<string, string>>;
  /** In base64. Without a body the request is a GET. */
  readonly body?: string;
  /** The time in which the answer must arrive. */
  readonly limitMs: number;
}

/** The results of a check since the last report. */
export interface CheckResult {
  readonly name: string;
  readonly count: number;
  readonly slowestMs: number;
  /** Late answers and wrong answers. */
  readonly problems: readonly string[];
}

export interface Liveness extends Disposable {
  report(): Promise<readonly CheckResult[]>;
}

/**
 * Sends each check every 50 ms, without waiting for earlier answers. A separate process sends the checks, so
 * that the load of the test process does not delay them.
 */
export async function watchLiveness(checks: readonly Check[]): Promise<Liveness> {
  const child = fork(join(import.meta.dirname, 'liveness-process.ts'), { execArgv: [] });
  const ended = once(child, 'exit').then(([code]) =>
    Promise.reject(new Error(`the checking process ended with ${code}`)),
  );
  // If the process ends while no call awaits `ended`, the rejection must not count as an unhandled rejection.
  ended.catch(() => {});
  const message = async () => {
    const [received] = await Promise.race([once(child, 'message'), ended]);
    return received;
  };
  const report = async () => {
    child.send('report');
    return (await message()) as CheckResult[];
  };
  child.send(checks);
  // Waits for the first checks, which open the connections.
  await message();
  return { report, [Symbol.dispose]: () => void child.kill() };
}

/** The checks: `/livez`, and calls of another user on both ports. */
export function orchestratorAndOthers({ process, ports }: ProbedService, s3Key: string): Check[] {
  const { pid } = process;
  const others = gateway('grace');
  const call = (method: string, message: object): Check => ({
    name: `${method} of another user`,
    pid,
    url: `${process.http}/files.v1.FileService/${method}`,
    httpVersion: 1,
    headers: { ...others, 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(message)).toString('base64'),
    limitMs: OTHERS_MAX_MS,
  });
  return [
    { name: '/livez', pid, url: `${process.http}/livez`, httpVersion: 1, headers: {}, limitMs: LIVEZ_MAX_MS },
    call('ListFiles', {}),
    call('GetFile', { s3Key }),
    {
      name: 'ListFiles of another user over gRPC',
      pid,
      url: `http://127.0.0.1:${ports.gRPC}/files.v1.FileService/ListFiles`,
      httpVersion: 2,
      headers: { ...others, 'content-type': 'application/grpc', te: 'trailers' },
      body: envelope(new Uint8Array()).toString('base64'),
      limitMs: OTHERS_MAX_MS,
    },
  ];
}

/** An orchestrator's probe times out after a second. A quarter of this leaves room for a busy machine. */
const LIVEZ_MAX_MS = 250;
/** A call of another user may be delayed by this time. A caller would notice a longer delay. */
const OTHERS_MAX_MS = 500;
