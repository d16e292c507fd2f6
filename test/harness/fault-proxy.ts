import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The fault that the proxy injects into all connections, old and new. */
export type Fault =
  | { kind: 'none' }
  /** The port refuses connections, and every open connection is reset. */
  | { kind: 'refused' }
  /** Connections are accepted, but no byte passes in either direction, as in a dead network. */
  | { kind: 'hanging' }
  /** Every chunk from the server is delayed by this time. */
  | { kind: 'slow'; milliseconds: number };

/**
 * A TCP proxy between the service and a server on loopback. It simulates failures of networks and machines.
 */
export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open at this moment. */
  readonly connections: number;
  /** All connections since the start. */
  readonly accepted: number;
  set(fault: Fault): Promise<void>;
}

export async function startFaultProxy(target: { port: number; host?: string }): Promise<FaultProxy> {
  let fault: Fault = { kind: 'none' };
  /** Resolves when the proxy no longer hangs. */
  let flow = Promise.resolve();
  let release = () => {};
  const pairs = new Set<readonly [Socket, Socket]>();

  let accepted = 0;
  const listener = (client: Socket) => {
    accepted++;
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
      // The connection broke. The 'close' listener closes the other side.
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
    get accepted() {
      return accepted;
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
