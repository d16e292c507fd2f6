import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What becomes of a PUT. */
export type PutFault =
  | 'none'
  /** The connection breaks in the middle of the body. */
  | 'reset'
  /** S3 takes the bytes, and the answer is lost. */
  | 'answer lost'
  /** An answer at once, and the body is not read. */
  | { status: number; code: string };

/** Stands between clients and S3 as S3's own name, counts what passes, and does to PUTs what networks and S3 do. */
export interface S3Proxy extends AsyncDisposable {
  /** For S3_PUBLIC_ENDPOINT. */
  readonly endpoint: string;
  /** What S3 has taken: the number of a part, or 0 for a whole file. */
  readonly taken: number[];
  /** Answers with another status than 200, by that status. */
  readonly refused: number[];
  readonly connections: number;
  /** Requests that S3 has not answered; a client that dies leaves them behind. */
  readonly underWay: number;
  /** Of the n-th PUT since it was set, counted from 1. */
  fault: (n: number) => PutFault;
  /** Before a PUT is passed on. */
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
    const fate = method === 'PUT' ? fault(++puts) : 'none';
    underWay++;
    if (method === 'PUT') await sleep(proxy.delayMs);
    if (typeof fate === 'object') {
      underWay--;
      answer.writeHead(fate.status).end(`<Error><Code>${fate.code}</Code><Message>made up</Message></Error>`);
      incoming.resume();
      return;
    }
    // Host as it came: it is signed.
    const passed = request({ hostname, port, method, headers, path: url });
    passed.on('close', () => underWay--);
    passed.on('error', () => answer.destroy());
    passed.on('response', (s3) => {
      const part = Number(new URL(url, s3Endpoint).searchParams.get('partNumber') ?? 0);
      const { statusCode = 0 } = s3;
      if (method === 'PUT' && statusCode === 200) taken.push(part);
      else if (method === 'PUT') refused.push(statusCode);
      if (fate === 'answer lost') {
        incoming.socket.resetAndDestroy();
        return;
      }
      answer.writeHead(statusCode, s3.headers);
      s3.pipe(answer);
    });
    if (fate === 'reset') {
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
    // S3 may answer before it has read all, and what nobody reads hides that the client has gone.
    passed.on('close', () => incoming.resume());
  };
  const server = createServer((incoming, answer) => void handle(incoming, answer));
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
