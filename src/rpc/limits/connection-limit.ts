import type { Server, Socket } from 'node:net';

/** The ends of a connection, as the plain socket, the TLS one upon it and an HTTP/2 session all tell them. */
type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/** One open connection of a port, as far as its place among the others depends on it. */
export interface Connection {
  /** A call of this connection was accepted: its gateway has proved itself, and it named a user. */
  identified(): void;
  callBegins(): void;
  callEnds(): void;
}

export interface ConnectionLimit {
  /** `undefined` when it is closed already. */
  of(ends: Ends): Connection | undefined;
}

class OpenConnection implements Connection {
  readonly socket: Socket;
  isIdentified = false;
  calls = 0;
  /** When its last call began or ended, or since when it is open. */
  usedMs = performance.now();

  constructor(socket: Socket) {
    this.socket = socket;
  }

  identified(): void {
    this.isIdentified = true;
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
 * Limits a port's connections. If one too many is opened, another one is closed, in this order: the oldest on which no
 * call was ever accepted; the one idle longest; the new one, when all others are busy. So a peer that only opens
 * connections, or that asks for `/livez`, or whose calls are refused, keeps no gateway out.
 */
export function limitConnections(server: Server, max: number): ConnectionLimit {
  // In the order in which they were opened.
  const open = new Map<string, OpenConnection>();
  server.prependListener('connection', (socket: Socket) => {
    const name = nameOf(socket);
    const opened = new OpenConnection(socket);
    open.set(name, opened);
    socket.once('close', () => {
      if (open.get(name) === opened) open.delete(name);
    });
    if (open.size > max) superfluous(open.values(), opened).socket.destroy();
  });
  return { of: (ends) => open.get(nameOf(ends)) };
}

function superfluous(connections: Iterable<OpenConnection>, opened: OpenConnection): OpenConnection {
  let idlest: OpenConnection | undefined;
  for (const connection of connections) {
    if (connection === opened) continue;
    if (!connection.isIdentified) return connection;
    if (connection.calls === 0 && connection.usedMs < (idlest?.usedMs ?? Number.POSITIVE_INFINITY)) {
      idlest = connection;
    }
  }
  return idlest ?? opened;
}

function nameOf({ remoteAddress, remotePort }: Ends): string {
  return `${remoteAddress} ${remotePort}`;
}
