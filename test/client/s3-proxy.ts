import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The fault that the proxy injects into a PUT. */
export type PutFault =
  | 'none'
  /** The connection breaks in the middle of the body. */
  | 'reset'
  /** S3 stores the bytes, and the answer is lost. */
  | 'answer lost'
  /** S3 refuses the request, and closes the connection instead of answering, as versitygw does. */
  | 'refusal lost'
  /** The proxy answers at once, and does not forward the body. */
  | { status: number; code: string };

/**
 * A proxy between clients and S3. It counts the requests, and injects failures of networks and of S3 into
 * PUTs.
 */
export interface S3Proxy extends AsyncDisposable {
  /** The value for S3_PUBLIC_ENDPOINT. */
  readonly endpoint: string;
  /** The PUTs that S3 accepted: the number of a part, or 0 for a whole file. */
  readonly taken: number[];
  /** The statuses of all other answers of S3 to PUTs; 0 if the connection to S3 broke. */
  readonly refused: number[];
  readonly connections: number;
  /** The number of requests that S3 has not answered. A killed client leaves such requests behind. */
  readonly underWay: number;
  /** Returns the fault of the n-th PUT since `fault` was set. n starts at 1. */
  fault: (n: number) => PutFault;
  /** The delay before a PUT is forwarded. */
  delayMs: number;
}

export async function startS3Proxy(s3Endpoint: string): Promise<S3Proxy> {
  const { hostname, port } = new URL(s3Endpoint);
  const taken: number[] = [];
  const refused: number[] = [];
  const sockets = new Set<Socket>();
  let fault: S3Proxy['fault'] = () => 'none';
  let puts = 0;
  let underWay = 0;

  const handle = async (incoming: IncomingMessage, answer: ServerResponse) => {
    const { method, headers, url = '' } = incoming;
    incoming.on('error', () => {});
    const putFault = method === 'PUT' ? fault(++puts) : 'none';
    underWay++;
    if (method === 'PUT') await sleep(proxy.delayMs);
    if (typeof putFault === 'object') {
      underWay--;
      const body = `<Error><Code>${putFault.code}</Code><Message>injected</Message></Error>`;
      answer.writeHead(putFault.status).end(body);
      incoming.resume();
      return;
    }
    // The Host header is unchanged, because it is signed.
    const passed = request({ hostname, port, method, headers, path: url });
    passed.on('close', () => underWay--);
    passed.on('error', () => {
      if (method === 'PUT') refused.push(0);
      answer.destroy();
    });
    passed.on('response', (s3) => {
      const part = Number(new URL(url, s3Endpoint).searchParams.get('partNumber') ?? 0);
      const { statusCode = 0 } = s3;
      if (method === 'PUT' && statusCode === 200) taken.push(part);
      else if (method === 'PUT') refused.push(statusCode);
      if (putFault === 'answer lost' || (putFault === 'refusal lost' && statusCode !== 200)) {
        incoming.socket.resetAndDestroy();
        return;
      }
      answer.writeHead(statusCode, s3.headers);
      s3.pipe(answer);
      // S3 can answer before it has read the whole body, and a request that has its answer takes no more of it. The proxy
      // must read the rest: the client sends its next request on the same connection, or closes it.
      s3.on('end', () => {
        if (!passed.writableFinished) passed.destroy();
      });
    });
    if (putFault === 'reset') {
      incoming.once('data', () => {
        incoming.socket.resetAndDestroy();
        passed.destroy();
      });
      return;
    }
    incoming.on('close', () => {
      if (!incoming.complete) passed.destroy();
    });
    incoming.pipe(passed);
    passed.on('close', () => incoming.resume());
  };
  const server = createServer((incoming, answer) => void handle(incoming, answer));
  // Idle connections stay open longer than a test waits for the client to close them.
  server.keepAliveTimeout = 120_000;
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: S3Proxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken,
    refused,
    get connections() {
      return sockets.size;
    },
    get underWay() {
      return underWay;
    },
    get fault() {
      return fault;
    },
    set fault(next) {
      puts = 0;
      fault = next;
    },
    delayMs: 0,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
  return proxy;
}
