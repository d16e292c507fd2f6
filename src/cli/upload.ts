import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { lookup } from 'mrmime';
import { FileService, type UploadResult, uploadFile } from '../client/upload-file.ts';
import { createProgressLine, type ProgressLine, sizeText } from './progress-line.ts';
import type { Terminal } from './terminal.ts';

/** Of the examples in README.md. */
const USER_DEFAULT = '651eb6e11d156e0d7a42c59d';

const USAGE = `usage: npm run upload -- PATH… [--user ID] [--url URL]

Uploads files to a running service. What is there already is not sent again, and what stopped half-way goes on.
  --user ID  on whose behalf, as the gateway would say it (default ${USER_DEFAULT})
  --url URL  where the service answers Connect (default: where \`npm start\` does, by HOST and HTTP_PORT)
Sends the first of GATEWAY_TOKENS, if any is set.
Exit code: 0 when all files are there; 1 when one is not; 2 for a wrong call.`.split('\n');

/** Each has its own parts in parallel. */
const FILES_AT_ONCE = 2;

/** For a person who watches. */
const RENDER_INTERVAL_MS = 100;

/** How the service of this environment is reached. */
export interface ServiceAddress {
  url: string;
  userIdHeader: string;
  gatewayToken: string | undefined;
}

/**
 * The command that shows what a client does: `npm run upload`.
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
    // Uploads are patient, and a wrong address or user should be told at once.
    await client.listFiles({ pageSize: 1 }, { signal });
  } catch (error) {
    terminal.print(`${call.url}: ${inWords(error)}`);
    return 1;
  }
  const line = createProgressLine(call.paths.length);
  const rendering = setInterval(() => terminal.progress(line.render(performance.now())), RENDER_INTERVAL_MS);
  try {
    const left = call.paths.values();
    let failures = 0;
    const lane = async () => {
      for (const path of left) {
        if (!(await uploadOne(client, path, line, terminal, signal))) failures++;
      }
    };
    await Promise.all(Array.from({ length: FILES_AT_ONCE }, lane));
    return failures === 0 ? 0 : 1;
  } finally {
    clearInterval(rendering);
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
    if (positionals.length === 0) return 'which file?';
    if (!URL.canParse(values.url)) return `--url ${values.url} is no URL`;
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

/** @returns whether the file is there */
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
      `${basename(path)}: ${signal.aborted ? 'interrupted; the same command goes on' : inWords(error)}`,
    );
    return false;
  }
}

function described({ file, existing, bytesResumed }: UploadResult, seconds: number): string {
  const { s3Key, size } = file;
  const whole = sizeText(Number(size));
  if (existing) return `was there already, not a byte of ${whole} was sent, as ${s3Key}`;
  const speed = `${sizeText(Number(size) / seconds)}/s with hashing`;
  const resumed = bytesResumed > 0 ? `, ${sizeText(bytesResumed)} of it before` : '';
  return `uploaded ${whole} in ${seconds.toFixed(1)} s${resumed || ` (${speed})`}, as ${s3Key}`;
}

function inWords(error: unknown): string {
  if (!(error instanceof ConnectError)) return error instanceof Error ? error.message : String(error);
  const said = `${error.rawMessage} (${Code[error.code]})`;
  // Where the service answers, it gives its reasons.
  const isAnswered = error.details.length > 0;
  return isAnswered || error.code !== Code.Unavailable
    ? said
    : `no answer: ${said}. Is it running (npm start)?`;
}
