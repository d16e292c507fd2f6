import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface ReceivedPost {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** A consumer on node:http that keeps what it receives, and answers with `answer` after it has read the body. */
export async function startHttpConsumer(answer: RequestListener = (_, response) => response.end()) {
  const received: ReceivedPost[] = [];
  const server = createServer(async (request, response) => {
    const { method, url, headers } = request;
    received.push({ method, url, headers, body: await buffer(request) });
    answer(request, response);
  });
  let connections = 0;
  server.on('connection', () => connections++);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    received,
    get connections() {
      return connections;
    },
    server,
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/events`),
    async [Symbol.asyncDispose](): Promise<void> {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A consumer on a bare socket: `onRequest` gets the socket for each piece of data that arrives. */
export async function startRawConsumer(onRequest: (socket: Socket, requests: number) => void) {
  const sockets = new Set<Socket>();
  let requests = 0;
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      if (data.includes('POST ')) onRequest(socket, ++requests);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    sockets,
    get requests() {
      return requests;
    },
    url: new URL(`http://127.0.0.1:${port}/`),
    async [Symbol.asyncDispose](): Promise<void> {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
