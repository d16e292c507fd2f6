/** Sends one PUT to a presigned URL: with the headers that the service requires for this URL. */
import type { Agent, AgentOptions, ClientRequest } from 'node:http';
import type { PutClient, PutOptions } from '../upload/platform.ts';
import { answerOf } from './answer.ts';
import { type HttpModule, loadHttp } from './http-module.ts';
import type { Body, Pieces } from './memory-source.ts';

/**
 * @param given the agent of the caller, who closes it. Without it the client has its own connections, so that closing
 *   the client closes all of them.
 */
export function createPutClient(given?: Agent): PutClient<Body> {
  const connections = new Map<string, Promise<Connections>>();
  const own: Agent[] = [];
  const load = async (protocol: string): Promise<Connections> => {
    const { request, Agent, globalAgent } = await loadHttp(protocol);
    if (given !== undefined) return { request, agent: given };
    const agent = new Agent({ keepAlive: true, ...proxyOfProcess(globalAgent) });
    own.push(agent);
    return { request, agent };
  };
  const connectionsFor = (protocol: string): Promise<Connections> => {
    const known = connections.get(protocol) ?? load(protocol);
    connections.set(protocol, known);
    return known;
  };
  return {
    /** Adds only Host and Connection to the headers. Reads the bytes no faster than they are sent. */
    async put({ url, headers }, body, { signal, onSent }) {
      const target = new URL(url);
      const { request: open, agent } = await connectionsFor(target.protocol);
      signal.throwIfAborted();
      const request = open(target, { method: 'PUT', headers, agent });
      const answered = answerOf(request, signal);
      // If reading the bytes fails, `send` destroys the request, and then `answered` fails too. The caller gets
      // the error of reading, because `sent` fails first.
      const sent = body instanceof Uint8Array ? undefined : send(request, body, onSent);
      try {
        // Headers and body leave with one call to the system. In pieces, a small file would need three.
        if (body instanceof Uint8Array) request.end(body, () => onSent(body.length));
        await (sent === undefined ? answered : Promise.race([answered, sent.then(() => answered)]));
      } finally {
        // If S3 answered before all bytes were sent, the connection is in the middle of a request body. Such a
        // connection cannot carry another request.
        if (!request.writableFinished) request.destroy();
        await sent?.catch(() => {});
      }
    },
    close() {
      for (const agent of own) agent.destroy();
    },
  };
}

interface Connections {
  request: HttpModule['request'];
  agent: Agent;
}

/**
 * The proxy that Node uses for the whole process: the variables of NODE_USE_ENV_PROXY, or the argument of
 * `http.setGlobalProxyFromEnv`. Node 20 has no such proxy, and sends directly.
 */
function proxyOfProcess(globalAgent: Agent): Pick<AgentOptions, 'proxyEnv'> {
  const { options } = globalAgent as Agent & { options?: AgentOptions };
  return options?.proxyEnv === undefined ? {} : { proxyEnv: options.proxyEnv };
}

async function send(request: ClientRequest, pieces: Pieces, onSent: PutOptions['onSent']): Promise<void> {
  try {
    for await (const piece of pieces) {
      if (request.destroyed) return;
      await written(request, piece);
      onSent(piece.length);
    }
    request.end();
  } catch (error) {
    request.destroy();
    throw error;
  }
}

/** Resolves when the system has taken the bytes of the piece, or the request has ended. Its buffer is free then. */
function written(request: ClientRequest, piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      request.off('close', done);
      resolve();
    };
    request.on('close', done);
    request.write(piece, done);
  });
}
