import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { sendHeaders } from './headers.ts';
import { processesOf, stillRunning } from './processes.ts';

export const PROJECT = join(import.meta.dirname, '../..');

/** Enough for the first start on a busy machine: initdb runs, and Node reads every package. */
const START_TIMEOUT_MS = 50_000;

/**
 * More than twice the 8.5 s after which src/process ends a stop that hangs. A longer stop is an error of the
 * service.
 */
const STOP_TIMEOUT_MS = 20_000;

const POLL_MS = 10;

export interface LaunchOptions {
  /**
   * Added to PATH and HOME. No other variable of this process is passed on. By default the service takes free
   * ports and stops without a delay.
   */
  environment?: Record<string, string>;
  /** Default: the command of `npm start`, with the Node of this process. */
  command?: readonly [string, ...string[]];
  /** The current directory of the service. Default: the project. */
  directory?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The service as an operator starts it: in a separate process and process group. */
export interface LaunchedService extends AsyncDisposable {
  readonly pid: number;
  readonly exit: Promise<Exit>;
  /** The complete output so far. */
  readonly printed: { stdout: string; stderr: string };
  /** The lines of its log, as objects. */
  log(): LogLine[];
  /**
   * Resolves with the first log line that has one of these messages.
   * @throws when the process ends before that
   */
  logged(message: string | readonly string[], timeoutMs?: number): Promise<LogLine>;
  /** Writes to the standard input of the process. */
  type(text: string): void;
  /** Signals only the process. */
  kill(signal: NodeJS.Signals): void;
  /** Signals the whole process group, as a terminal does. */
  killGroup(signal: NodeJS.Signals): void;
  /**
   * Resolves when the process and all its descendants have ended.
   * @throws when one stays, after killing it
   */
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
  readonly ports: { readonly gRPC: number; readonly HTTP: number };
  /** A client over Connect that sends these headers. `x-user-id` is required. */
  client(headers: Record<string, string>): Client<typeof FileService>;
  /** Sends SIGTERM and waits. @throws unless the process ends with code 0 and leaves no other process */
  stop(): Promise<void>;
}

/**
 * A killed test run cannot dispose of its processes. With setpriv of util-linux, the kernel kills the service
 * together with the test run, and Postgres together with the service.
 */
const DIE_WITH_PARENT: readonly string[] = ['setpriv', '--pdeathsig', 'KILL', '--'];
export const canDieWithParent = spawnSync('setpriv', [...DIE_WITH_PARENT.slice(1), 'true']).status === 0;

/** Returns the command that runs the program and ends it together with this process. */
export function dyingWithParent(command: readonly string[]): [program: string, ...args: string[]] {
  const [program = '', ...args] = canDieWithParent ? [...DIE_WITH_PARENT, ...command] : command;
  return [program, ...args];
}

/** The command of `npm start`: variables, `exec node`, and the arguments of `node`. */
const { start }: { start: string } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')).scripts;
const [variables = '', startArguments = ''] = start.split(' exec node ');
const START = startArguments.split(' ');
/** The variables that `npm start` sets for Node and for the C library. */
const START_ENVIRONMENT: Readonly<Record<string, string>> = Object.fromEntries(
  variables.split(' ').map((variable) => variable.split('=', 2)),
);
/** The arguments for Node itself. */
export const NODE_OPTIONS: readonly string[] = START.filter((word) => word.startsWith('--'));

/** Starts the service and returns at once. */
export function launchService(options: LaunchOptions = {}): LaunchedService {
  const { environment = {}, directory = PROJECT } = options;
  const command = options.command ?? [process.execPath, ...START];
  const [program, ...args] = dyingWithParent(command);
  const { PATH, HOME } = process.env;
  const child = spawn(program, args, {
    cwd: directory,
    env: {
      PATH,
      HOME,
      ...START_ENVIRONMENT,
      NODE_COMPILE_CACHE: join(PROJECT, START_ENVIRONMENT.NODE_COMPILE_CACHE ?? ''),
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

/** The readiness check of Postgres and S3 logs one of these messages when it has run for the first time. */
const READINESS_MESSAGES = [
  'ready',
  'Postgres or S3 does not answer',
  'S3 refuses requests',
  'the schema is missing or of an older release: run "npm run migrate"',
];

/** Starts the service and waits until it serves and has checked Postgres and S3 once. */
export async function startService(options: LaunchOptions = {}): Promise<ServiceProcess> {
  const service = launchService(options);
  try {
    const { grpcPort, httpPort } = await service.logged('serving', START_TIMEOUT_MS);
    await service.logged(READINESS_MESSAGES, START_TIMEOUT_MS);
    const http = `http://127.0.0.1:${httpPort}`;
    return Object.assign(service, {
      grpc: `127.0.0.1:${grpcPort}`,
      http,
      ports: { gRPC: Number(grpcPort), HTTP: Number(httpPort) },
      client: (headers: Record<string, string>) => createFileClient(http, headers),
      async stop() {
        service.kill('SIGTERM');
        const { code, signal } = await service.untilGone();
        if (code !== 0) throw new Error(`the service ended with ${signal ?? code}${outputOf(service)}`);
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
  // All descendants that were ever seen, so that `untilGone` waits for those too whose parent ended first.
  const seen = new Set<number>([pid]);
  const recordDescendants = async () => {
    for (const one of await processesOf(pid, dataDirectory)) seen.add(one);
  };
  const exit = new Promise<Exit>((resolve) => {
    // 'close', not 'exit': the complete output has arrived then.
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
          await recordDescendants();
          return line;
        }
        if (ended !== undefined) {
          throw new Error(
            `ended with ${ended.signal ?? ended.code} before "${messages.join('" or "')}"${outputOf(service)}`,
          );
        }
        if (Date.now() > deadline)
          throw new Error(`no "${messages.join('" or "')}" in ${timeoutMs} ms${outputOf(service)}`);
        await sleep(POLL_MS);
      }
    },
    type: (text) => void child.stdin.write(text),
    kill: (signal) => send(pid, signal),
    killGroup: (signal) => send(-pid, signal),
    async untilGone() {
      const deadline = Date.now() + STOP_TIMEOUT_MS;
      await recordDescendants();
      for (;;) {
        const rest = await stillRunning(seen);
        if (rest.length === 0) return exit;
        if (Date.now() > deadline) {
          for (const one of rest) send(one, 'SIGKILL');
          throw new Error(`still running: ${rest.join(', ')}${outputOf(service)}`);
        }
        await sleep(POLL_MS);
        await recordDescendants();
      }
    },
    async [Symbol.asyncDispose]() {
      await recordDescendants();
      service.killGroup('SIGKILL');
      service.kill('SIGKILL');
      await service.untilGone();
    },
  };
  return service;
}

/** The last line can be incomplete while the service writes it. */
function parse(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { msg: '' };
  }
}

function outputOf({ printed }: LaunchedService): string {
  return `\n${printed.stdout}${printed.stderr}`;
}

export function createFileClient(
  baseUrl: string,
  headers: Record<string, string>,
): Client<typeof FileService> {
  return createClient(
    FileService,
    createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors: [sendHeaders(headers)] }),
  );
}
