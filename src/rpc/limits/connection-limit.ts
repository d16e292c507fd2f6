import type { Server, Socket } from 'node:net';

/** Identifies a connection. The plain socket, its TLS socket and its HTTP/2 session all have these fields. */
type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

export type ConnectionLimit = ReturnType<typeof limitConnections>;

/** An open connection, with the events that decide which connection is closed when there are too many. */
export class Connection {
  readonly socket: Socket;
  isIdentified = false;
  calls = 0;
  /** The time at which the last call began or ended, or at which the connection was opened. */
  usedMs = performance.now();
  #onIdentified = (): void => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /**
   * Must be called when a call on this connection was accepted: its caller has authenticated as a gateway (the trusted
   * caller that names the user), and the user is valid.
   */
  identified(): void {
    if (this.isIdentified) return;
    this.isIdentified = true;
    this.#onIdentified();
  }

  /** Sets the function that is called once, when the first call on this connection is accepted. */
  onIdentified(listener: () => void): void {
    this.#onIdentified = listener;
  }

  callBegins(): void {
    this.calls++;
    this.usedMs = performance.now();
  }

  callEnds(): void {
    this.calls--;
    this.usedMs = performance.now();
  }
}

/**
 * Limits a port's connections. A new connection above the limit makes the server close a connection, in this
 * order: the oldest connection on which no call was ever accepted; the connection that is idle longest; the
 * new connection, if all others are busy. So a peer that only opens connections, requests `/livez`, or sends
 * calls that are refused cannot keep a gateway from connecting.
 */
export function limitConnections(server: Server, max: number) {
  // The connections are in the order in which they were opened, so the oldest is the first.
  const open = new Map<string, Connection>();
  /** The results of `of`. Reading the addresses takes longer than all other work with a connection. */
  const known = new WeakMap<Ends, Connection>();
  server.prependListener('connection', (socket: Socket) => {
    const address = addressOf(socket);
    const opened = new Connection(socket);
    open.set(address, opened);
    socket.once('close', () => {
      if (open.get(address) === opened) open.delete(address);
    });
    if (open.size > max) superfluous(open.values(), opened).socket.destroy();
  });
  return {
    /** The connection with these addresses; `undefined` when it closed before it was asked for. */
    of(ends: Ends): Connection | undefined {
      const connection = known.get(ends) ?? open.get(addressOf(ends));
      if (connection !== undefined) known.set(ends, connection);
      return connection;
    },
    /** The number of open connections. */
    count: (): number => open.size,
  };
}

function superfluous(connections: Iterable<Connection>, opened: Connection): Connection {
  let idlest: Connection | undefined;
  for (const connection of connections) {
    if (connection === opened) continue;
    if (!connection.isIdentified) return connection;
    if (connection.calls === 0 && connection.usedMs < (idlest?.usedMs ?? Number.POSITIVE_INFINITY)) {
      idlest = connection;
    }
  }
  return idlest ?? opened;
}

function addressOf({ remoteAddress, remotePort }: Ends): string {
  return `${remoteAddress} ${remotePort}`;
}
