/**
 * `src/cli` has one file per command that a person runs beside the service (`upload`, `migrate`, `reconcile`),
 * and what these commands need to talk to a terminal: escaped output and the progress line. A command parses
 * its arguments, calls the code that does the work, and returns an exit code. It does not touch `process`,
 * which belongs to `src/main.ts`.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { lookup } from 'mrmime';
import { FileService, type UploadResult, uploadFile } from '../client/node.ts';
import { createProgressLine, type ProgressLine, sizeText } from './progress-line.ts';
import type { Terminal } from './terminal.ts';

/** The user id in the examples of README.md. */
const USER_DEFAULT = '651eb6e11d156e0d7a42c59d';

const USAGE = `usage: npm run upload -- PATH… [--user ID] [--url URL]

Uploads files to a running service. Stored files are not sent again, and interrupted uploads continue.
  --user ID  the user who owns the files, as the gateway would name the user (default ${USER_DEFAULT})
  --url URL  the address of the service for Connect (default: the address of \`npm start\`, from HOST and HTTP_PORT)
Sends the first of GATEWAY_TOKENS, if any is set.
Exit code: 0 if all files are stored; 1 if an upload failed; 2 for wrong arguments.`.split('\n');

/** The command uploads this many files concurrently. The parts of one file are sent concurrently, too. */
const FILES_AT_ONCE = 2;

/** The progress line is drawn ten times a second, which is often enough for a person who watches it. */
const RENDER_INTERVAL_MS = 100;

/** The service's answers stay below the 4 MiB of gRPC. By default, an answer without an end would fill the memory. */
const ANSWER_MAX_BYTES = 4 * 1024 ** 2;

/** The address and the metadata with which the service is called. */
export interface ServiceAddress {
  url: string;
  userIdHeader: string;
  gatewayToken: string | undefined;
}

/**
 * Runs the command `npm run upload`. The code is also an example of a client of the service.
 *
 * @returns the exit code
 */
export async function runUpload(
  args: string[],
  address: ServiceAddress,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  const call = parseCall(args, address);
  if (typeof call === 'string') {
    terminal.print(call, '', ...USAGE);
    return 2;
  }
  const client = connect(call.url, call.user, address);
  try {
    // `uploadFile` retries for minutes. This call fails at once if the address or the user is wrong.
    await client.listFiles({ pageSize: 1 }, { signal });
  } catch (error) {
    terminal.print(`${call.url}: ${inWords(error)}`);
    return 1;
  }
  const line = createProgressLine(call.paths.length);
  const rendering = setInterval(() => terminal.progress(line.render(performance.now())), RENDER_INTERVAL_MS);
  try {
    const queue = call.paths.values();
    let failures = 0;
    const work = async () => {
      for (const path of queue) {
        if (!(await uploadOne(client, path, line, terminal, signal))) failures++;
      }
    };
    await Promise.all(Array.from({ length: FILES_AT_ONCE }, work));
    return failures === 0 ? 0 : 1;
  } finally {
    clearInterval(rendering);
    terminal.progress('');
  }
}

function parseCall(args: string[], { url }: ServiceAddress) {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        user: { type: 'string', default: USER_DEFAULT },
        url: { type: 'string', default: url },
      },
    });
    if (positionals.length === 0) return 'name at least one file';
    if (!URL.canParse(values.url)) return `--url ${values.url} is not a URL`;
    return { ...values, paths: positionals };
  } catch (error) {
    return (error as Error).message;
  }
}

function connect(
  baseUrl: string,
  user: string,
  { userIdHeader, gatewayToken }: ServiceAddress,
): Client<typeof FileService> {
  return createClient(
    FileService,
    createConnectTransport({
      baseUrl,
      httpVersion: '1.1',
      readMaxBytes: ANSWER_MAX_BYTES,
      interceptors: [
        (next) => (request) => {
          request.header.set(userIdHeader, user);
          if (gatewayToken !== undefined) request.header.set('x-gateway-token', gatewayToken);
          return next(request);
        },
      ],
    }),
  );
}

/** @returns whether the service has stored the file */
async function uploadOne(
  client: Client<typeof FileService>,
  path: string,
  line: ProgressLine,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<boolean> {
  const startMs = performance.now();
  const mimeType = lookup(path);
  try {
    const result = await uploadFile(client, path, {
      signal,
      onProgress: (progress) => line.update(path, progress),
      ...(mimeType !== undefined && { mimeType }),
    });
    terminal.print(`${basename(path)}: ${described(result, (performance.now() - startMs) / 1_000)}`);
    return true;
  } catch (error) {
    terminal.print(
      `${basename(path)}: ${signal.aborted ? 'interrupted; run the same command again to continue' : inWords(error)}`,
    );
    return false;
  }
}

function described({ file, existing, bytesResumed }: UploadResult, seconds: number): string {
  const { s3Key, size } = file;
  const whole = sizeText(Number(size));
  if (existing) return `already stored, nothing of ${whole} was sent, as ${s3Key}`;
  const speed = `${sizeText(Number(size) / seconds)}/s with hashing`;
  const resumed = bytesResumed > 0 ? `, ${sizeText(bytesResumed)} sent before` : '';
  return `uploaded ${whole} in ${seconds.toFixed(1)} s${resumed || ` (${speed})`}, as ${s3Key}`;
}

function inWords(error: unknown): string {
  if (!(error instanceof ConnectError)) return error instanceof Error ? error.message : String(error);
  const text = `${error.rawMessage} (${Code[error.code]})`;
  // An error from the service has details with its reason. So the code Unavailable without details means that
  // the service did not answer.
  const isAnswered = error.details.length > 0;
  return isAnswered || error.code !== Code.Unavailable
    ? text
    : `no answer: ${text}. Start the service with npm start, or check --url.`;
}
