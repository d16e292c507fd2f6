import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { processesOf, stillRunning } from './processes.ts';

export const PROJECT = join(import.meta.dirname, '../..');

/** First start of all on a busy machine: initdb, and Node reading every package. */
const START_TIMEOUT_MS = 50_000;

/** Twice what a stop may take (calls under way get 8 s). Too long to be right, long enough to tell why. */
const STOP_TIMEOUT_MS = 20_000;

const POLL_MS = 10;

export interface LaunchOptions {
  /** Beside PATH and HOME; nothing else of this process's environment is passed on. Unset: any free ports, and no delay of a stop. */
  environment?: Record<string, string>;
  /** Default: what `npm start` does, on this Node. */
  command?: readonly [string, ...string[]];
  /** Where it runs; default: the project. */
  directory?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The service as an operator starts it: a process of its own, in a process group of its own. */
export interface LaunchedService extends AsyncDisposable {
  readonly pid: number;
  readonly exit: Promise<Exit>;
  /** Everything it has printed so far, on either stream. */
  readonly printed: { stdout: string; stderr: string };
  /** The lines of its log, as objects. */
  log(): LogLine[];
  /** Resolves with the first line of this message, or of any of these. @throws when the process ends before */
  logged(message: string | readonly string[], timeoutMs?: number): Promise<LogLine>;
  /** To its standard input. */
  type(text: string): void;
  /** To the process alone. */
  kill(signal: NodeJS.Signals): void;
  /** To its whole group, as a terminal does it. */
  killGroup(signal: NodeJS.Signals): void;
  /** Resolves when it and everything that it started is gone. @throws when something stays, which it kills then */
  untilGone(): Promise<Exit>;
}

export interface LogLine extends Record<string, unknown> {
  msg: string;
}

export interface ServiceProcess extends LaunchedService {
  /** `127.0.0.1:<port>` */
  readonly grpc: string;
  /** `http://127.0.0.1:<port>` */
  readonly http: string;
  /** Calls it over Connect, with these headers; `x-user-id` is the least of them. */
  client(headers: Record<string, string>): Client<typeof FileService>;
  /** SIGTERM, and waits. @throws unless it ends with code 0 and leaves no process */
  stop(): Promise<void>;
}

/**
 * A test run that is killed can dispose of nothing. Where util-linux is, the kernel ends the service with it, and
 * Postgres with the service.
 */
const WITH_US: readonly string[] = ['setpriv', '--pdeathsig', 'KILL', '--'];
const canEndWithUs = spawnSync('setpriv', [...WITH_US.slice(1), 'true']).status === 0;

/** What `npm start` gives to `node`, and where Node keeps what it has compiled. */
const { start }: { start: string } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')).scripts;
const [cache = '', ...startWords] = start.split(' ');
const NODE_COMPILE_CACHE = join(PROJECT, cache.replace('NODE_COMPILE_CACHE=', ''));
const START = startWords.slice(startWords.indexOf('node') + 1);
/** Of these, those that are for Node itself. */
export const NODE_OPTIONS: readonly string[] = START.filter((word) => word.startsWith('--'));

/** Starts it and waits for nothing. */
export function launchService(options: LaunchOptions = {}): LaunchedService {
  const { environment = {}, directory = PROJECT } = options;
  const command = options.command ?? [process.execPath, ...START];
  const [program = '', ...args] = canEndWithUs ? [...WITH_US, ...command] : command;
  const { PATH, HOME } = process.env;
  const child = spawn(program, args, {
    cwd: directory,
    env: {
      PATH,
      HOME,
      NODE_COMPILE_CACHE,
      GRPC_PORT: '0',
      HTTP_PORT: '0',
      STOP_DELAY_SECONDS: '0',
      ...environment,
    },
    stdio: 'pipe',
    detached: true,
  });
  return follow(child, environment.DATA_DIR);
}

/** Its first word of Postgres and S3. */
const LOOKED = ['ready', 'Postgres or S3 does not answer'];

/** Starts it and waits until it serves, and has looked at Postgres and S3. */
export async function startService(options: LaunchOptions = {}): Promise<ServiceProcess> {
  const service = launchService(options);
  try {
    const { grpcPort, httpPort } = await service.logged('serving', START_TIMEOUT_MS);
    await service.logged(LOOKED, START_TIMEOUT_MS);
    const http = `http://127.0.0.1:${httpPort}`;
    return Object.assign(service, {
      grpc: `127.0.0.1:${grpcPort}`,
      http,
      client: (headers: Record<string, string>) => createFileClient(http, headers),
      async stop() {
        service.kill('SIGTERM');
        const { code, signal } = await service.untilGone();
        if (code !== 0) throw new Error(`the service ended with ${signal ?? code}${told(service)}`);
      },
    });
  } catch (error) {
    await service[Symbol.asyncDispose]();
    throw error;
  }
}

function follow(child: ChildProcessWithoutNullStreams, dataDirectory: string | undefined): LaunchedService {
  const { pid } = child;
  if (pid === undefined) throw new Error('the service could not be started');
  const printed = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    printed.stderr += text;
  });
  // Seen at any time, so that also those are waited for whose parent has gone first.
  const seen = new Set<number>([pid]);
  const look = async () => {
    for (const one of await processesOf(pid, dataDirectory)) seen.add(one);
  };
  const exit = new Promise<Exit>((resolve) => {
    // 'close' and not 'exit': all that was printed is here then.
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const send = (target: number, signal: NodeJS.Signals) => {
    try {
      process.kill(target, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };

  const service: LaunchedService = {
    pid,
    exit,
    printed,
    log: () =>
      printed.stdout
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map(parse),
    async logged(message, timeoutMs = STOP_TIMEOUT_MS) {
      const messages = [message].flat();
      const deadline = Date.now() + timeoutMs;
      let ended: Exit | undefined;
      void exit.then((how) => {
        ended = how;
      });
      for (;;) {
        const line = service.log().find(({ msg }) => messages.includes(msg));
        if (line !== undefined) {
          await look();
          return line;
        }
        if (ended !== undefined) {
          throw new Error(
            `ended with ${ended.signal ?? ended.code} before "${messages.join('" or "')}"${told(service)}`,
          );
        }
        if (Date.now() > deadline)
          throw new Error(`no "${messages.join('" or "')}" in ${timeoutMs} ms${told(service)}`);
        await sleep(POLL_MS);
      }
    },
    type: (text) => void child.stdin.write(text),
    kill: (signal) => send(pid, signal),
    killGroup: (signal) => send(-pid, signal),
    async untilGone() {
      const deadline = Date.now() + STOP_TIMEOUT_MS;
      await look();
      for (;;) {
        const rest = await stillRunning(seen);
        if (rest.length === 0) return exit;
        if (Date.now() > deadline) {
          for (const one of rest) send(one, 'SIGKILL');
          throw new Error(`still running: ${rest.join(', ')}${told(service)}`);
        }
        await sleep(POLL_MS);
        await look();
      }
    },
    async [Symbol.asyncDispose]() {
      await look();
      service.killGroup('SIGKILL');
      service.kill('SIGKILL');
      await service.untilGone();
    },
  };
  return service;
}

/** A line may be there in part as yet. */
function parse(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { msg: '' };
  }
}

function told({ printed }: LaunchedService): string {
  return `\n${printed.stdout}${printed.stderr}`;
}

export function createFileClient(
  baseUrl: string,
  headers: Record<string, string>,
): Client<typeof FileService> {
  const identify: Interceptor = (next) => (request) => {
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return next(request);
  };
  return createClient(
    FileService,
    createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors: [identify] }),
  );
}
