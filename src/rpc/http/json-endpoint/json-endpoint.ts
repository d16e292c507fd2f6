/**
 * `src/rpc/http/json-endpoint/` takes messages of JSON from programs that are no gateway (the trusted caller that names
 * the user of each call): who may send (`sender-token.ts`), and how a body is read (`read-json.ts`). The meaning of the
 * messages does not belong here. The only endpoint is in `src/hints`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SharedCapacity } from '../../../overload/shared-capacity.ts';
import { acceptTokens } from '../../identity.ts';
import type { TakeDecodeTurn } from '../../limits/decode-turns.ts';
import { readJson } from './read-json.ts';
import { CHALLENGE, senderToken } from './sender-token.ts';

/** A path to which other programs send messages by POST. */
export interface JsonEndpoint {
  /** Every request must carry this token. */
  token: string;
  /** The maximum size of a body. */
  maxBytes: number;
  /** The maximum number of values in a message. */
  maxValues: number;
  /** Must not reject. The answer is sent when the promise resolves. */
  receive: (message: unknown) => Promise<JsonAnswer>;
  /** Called for each request that is answered without a call of `receive`. */
  onRefused: (status: number) => void;
}

interface JsonAnswer {
  status: number;
  /** A sentence about the reason. Unset for a success, which has no body: some senders never read one. */
  text?: string | undefined;
}

export interface JsonEndpointsOptions {
  budget: SharedCapacity;
  takeDecodeTurn: TakeDecodeTurn;
  /** By their paths. An endpoint that is `undefined` is turned off, and answers 404. */
  endpoints: Readonly<Record<string, JsonEndpoint | undefined>>;
}

/** A sender repeats a message that was refused for now after this time. */
const RETRY_AFTER_SECONDS = 1;

/**
 * How long a request waits for the answer that its sender must repeat it. Ceph RGW 16.2 does not heed `Retry-After`: it
 * sent a message of a persistent topic three times in 4 ms.
 */
const PAUSE_BEFORE_503_MS = 500;

/**
 * Creates a function that answers a request for an endpoint, and returns `false` for any other request. Before it reads
 * a byte of the body, it checks the token, the method and the headers. It calls `onProven` when the token was right.
 *
 * The connection of a sender does not count as the connection of a gateway does. If the port has too many connections,
 * those of senders are closed first: a Ceph RGW opens a connection for each of up to 1,024 waiting messages.
 */
export function createJsonEndpoints({ endpoints, ...shared }: JsonEndpointsOptions) {
  const served = Object.entries(endpoints).map(([path, endpoint]) => ({
    path,
    endpoint: endpoint && { ...endpoint, isAccepted: acceptTokens([endpoint.token]) },
  }));
  return (request: IncomingMessage, response: ServerResponse, onProven: () => void): boolean => {
    const [path = ''] = (request.url ?? '').split('?', 1);
    // The token may follow the path.
    const found = served.find((one) => path === one.path || path.startsWith(`${one.path}/`));
    if (found === undefined) return false;
    const { endpoint } = found;
    if (endpoint === undefined) {
      response.writeHead(404).end();
      return true;
    }
    const onRefused = (status: number, text: string, headers: Record<string, string> = {}) => {
      endpoint.onRefused(status);
      void answer(response, { status, text }, headers);
    };
    const token = senderToken(request.headers, path.slice(found.path.length + 1));
    if (!endpoint.isAccepted(token)) {
      onRefused(401, 'the token is missing or wrong', { 'www-authenticate': CHALLENGE });
      return true;
    }
    onProven();
    if (request.method !== 'POST') {
      onRefused(405, 'messages are sent by POST', { allow: 'POST' });
    } else if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
      onRefused(415, 'the body must not be compressed', { 'accept-encoding': 'identity' });
    } else {
      const onMessage = async (message: unknown) => answer(response, await endpoint.receive(message));
      readJson(request, response, { ...shared, ...endpoint, onMessage, onRefused });
    }
    return true;
  };
}

async function answer(
  response: ServerResponse,
  { status, text }: JsonAnswer,
  headers: Record<string, string> = {},
): Promise<void> {
  if (status === 503) await sleep(PAUSE_BEFORE_503_MS);
  // The sender has disconnected.
  if (response.destroyed) return;
  const retry = status === 503 ? { 'retry-after': String(RETRY_AFTER_SECONDS) } : {};
  const type = text === undefined ? {} : { 'content-type': 'text/plain' };
  response.writeHead(status, { ...type, ...retry, ...headers });
  response.end(text && `${text}\n`);
}
