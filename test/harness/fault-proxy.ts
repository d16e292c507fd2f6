import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What becomes of the bytes of a connection, old and new alike. */
export type Fault =
  | { kind: 'none' }
  /** Nobody listens, and every connection that there was is reset. */
  | { kind: 'refused' }
  /** Connections are taken, and not a byte gets through in either direction, as behind a dead network. */
  | { kind: 'hanging' }
  /** Every piece of what the server says comes later by this. */
  | { kind: 'slow'; milliseconds: number };

/** Stands between the service and a server on loopback, and does to it what networks and machines do. */
export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open at this moment. */
  readonly connections: number;
  set(fault: Fault): Promise<void>;
}

export async function startFaultProxy(target: { port: number; host?: string }): Promise<FaultProxy> {
  let fault: Fault = { kind: 'none' };
  /** Resolves when it is no longer hanging. */
  let flow = Promise.resolve();
  let release = () => {};
  const pairs = new Set<readonly [Socket, Socket]>();

  const listener = (client: Socket) => {
    const server = connect(target.port, target.host ?? '127.0.0.1');
    const pair = [client, server] as const;
    pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        pairs.delete(pair);
        client.destroy();
        server.destroy();
      });
    }
    void pass(client, server, () => 0);
    void pass(server, client, () => (fault.kind === 'slow' ? fault.milliseconds : 0));
  };

  async function pass(from: Socket, to: Socket, delayMs: () => number): Promise<void> {
    try {
      for await (const bytes of from) {
        await flow;
        if (delayMs() > 0) await sleep(delayMs());
        if (to.destroyed) return;
        if (!to.write(bytes)) await once(to, 'drain');
      }
      to.end();
    } catch {
      // A connection that breaks; the other side is closed with it.
    }
  }

  let server = await listen(listener, 0);
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    for (const [client, upstream] of pairs) {
      client.resetAndDestroy();
      upstream.destroy();
    }
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  };
  return {
    port,
    get connections() {
      return pairs.size;
    },
    async set(next) {
      fault = next;
      release();
      flow = Promise.resolve();
      if (next.kind === 'refused') return close();
      if (next.kind === 'hanging') {
        flow = new Promise((resolve) => {
          release = resolve;
        });
      }
      if (!server.listening) server = await listen(listener, port);
    },
    async [Symbol.asyncDispose]() {
      release();
      await close();
    },
  };
}

async function listen(listener: (socket: Socket) => void, port: number): Promise<Server> {
  const server = createServer(listener).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
