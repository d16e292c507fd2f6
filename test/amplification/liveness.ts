import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { envelope } from '../resilience/http2-frames.ts';
import { gateway, type ProbedService } from './service.ts';

/** What an orchestrator, or a gateway, asks again and again. */
export interface Look {
  readonly name: string;
  readonly url: string;
  /** Whose answer it is. */
  readonly pid: number;
  readonly httpVersion: 1 | 2;
  readonly headers: Readonly<Record<string, string>>;
  /** In base64. Without one it is a GET. */
  readonly body?: string;
  /** An answer has to be here within. */
  readonly limitMs: number;
}

/** What came of one of them since the last report. */
export interface Looked {
  readonly name: string;
  readonly count: number;
  readonly slowestMs: number;
  /** Those that were late or not what they should be. */
  readonly faults: readonly string[];
}

export interface Liveness extends Disposable {
  report(): Promise<readonly Looked[]>;
}

/** Asks from a process of its own every 50 ms, whatever became of the questions before: what is measured is not the test. */
export async function watchLiveness(looks: readonly Look[]): Promise<Liveness> {
  const child = fork(join(import.meta.dirname, 'liveness-process.ts'), { execArgv: [] });
  const message = async () => {
    const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`it ended with ${code}`)));
    const [told] = await Promise.race([once(child, 'message'), ended]);
    return told;
  };
  const report = async () => {
    child.send('report');
    return (await message()) as Looked[];
  };
  child.send(looks);
  // The first ones make connections.
  await message();
  return { report, [Symbol.dispose]: () => void child.kill() };
}

/** `/livez`, and another user's calls on both ports. */
export function orchestratorAndOthers({ process, ports }: ProbedService, s3Key: string): Look[] {
  const { pid } = process;
  const others = gateway('grace');
  const call = (method: string, message: object): Look => ({
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

/** An orchestrator's probe gives up after a second; a quarter of it leaves room for a busy machine. */
const LIVEZ_MAX_MS = 250;
/** A caller's patience with one call of many. */
const OTHERS_MAX_MS = 500;
