/**
 * The gateway of a deployment as a browser sees it: one origin that serves the page, knows the signed-in
 * user, and forwards the calls. Only the gateway sets the user; of the page's headers it forwards only
 * Content-Type and Connect-Timeout-Ms.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Pair } from '../harness/certificates.ts';
import { assetAt } from './assets.ts';

interface GatewayOptions {
  certificate: Pair;
  /** The folder of the page. */
  assets: string;
  /** The service's HTTP port: `http://127.0.0.1:<port>`. */
  serviceUrl: string;
  /** The token that proves to the service that the gateway calls. */
  token: string;
  /** The origin to which the page may send PUTs. */
  s3Endpoint: string;
}

export interface Gateway extends AsyncDisposable {
  readonly port: number;
  /** Signs a user in and returns the value for the cookie `session`. */
  signIn(userId: string): string;
  /**
   * Runs `step` once, before the next call of this method is forwarded. If `step` throws, the call is not
   * forwarded.
   */
  before(method: string, step: () => Promise<void>): void;
}

const SERVICE_PATH = /^\/files\.v1\.FileService\/(\w+)$/;

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { certificate } = options;
  const users = new Map<string, string>();
  const steps = new Map<string, () => Promise<void>>();

  const answer = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [path = '/'] = (message.url ?? '/').split('?', 1);
    const method = SERVICE_PATH.exec(path)?.[1];
    if (method === undefined) return serveAsset(path, response, options);
    const user = users.get(sessionOf(message));
    if (user === undefined) {
      return refuse(response, 401, 'unauthenticated', 'sign in first');
    }
    const step = steps.get(method);
    steps.delete(method);
    await step?.();
    await passOn(message, response, user, options);
  };
  const server = createServer(certificate, (message, response) => {
    answer(message, response).catch(() =>
      refuse(response, 502, 'unavailable', 'the service cannot be reached'),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    signIn(userId) {
      const session = randomBytes(16).toString('hex');
      users.set(session, userId);
      return session;
    },
    before: (method, step) => void steps.set(method, step),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Sends an error in Connect's form, as the service does. */
function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ code, message }));
}

function sessionOf({ headers }: IncomingMessage): string {
  return /(?:^|; )session=([0-9a-f]+)/.exec(headers.cookie ?? '')?.[1] ?? '';
}

async function passOn(
  message: IncomingMessage,
  response: ServerResponse,
  user: string,
  { serviceUrl, token }: GatewayOptions,
): Promise<void> {
  const { 'connect-timeout-ms': deadline } = message.headers;
  const call = request(new URL(message.url ?? '/', serviceUrl), {
    method: message.method,
    // An allowlist, because a list of headers to remove would be incomplete.
    headers: {
      'content-type': message.headers['content-type'],
      // The client allows calls more time than the service does by default.
      ...(deadline !== undefined && { 'connect-timeout-ms': deadline }),
      'x-user-id': user,
      'x-gateway-token': token,
    },
  });
  const answered = once(call, 'response') as Promise<[IncomingMessage]>;
  await Promise.all([pipeline(message, call), answered]);
  const [answer] = await answered;
  response.writeHead(answer.statusCode ?? 502, { 'content-type': answer.headers['content-type'] });
  await pipeline(answer, response);
}

async function serveAsset(
  path: string,
  response: ServerResponse,
  { assets, s3Endpoint }: GatewayOptions,
): Promise<void> {
  const asset = await assetAt(assets, path);
  if (asset === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, {
    'content-type': asset.type,
    // The strictest policy with which the page works: the client computes MD5 with WebAssembly and sends PUTs to S3.
    'content-security-policy': `default-src 'none'; img-src data:; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ${s3Endpoint}`,
  });
  response.end(asset.bytes);
}
