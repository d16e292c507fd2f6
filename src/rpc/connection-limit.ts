import type { Server, Socket } from 'node:net';

/** Who has been answered on a connection: as the plain socket, and as the TLS one upon it, tell it alike. */
type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

export interface ConnectionLimit {
  /** A call of this connection has been answered: it is nobody's who only fills the port. */
  answered(peer: Peer): void;
}

/**
 * Bounds a port's connections. Where there are too many, the oldest that has not
 * had an answer yet gives way: whoever opens connections and says nothing, or
 * says it slowly, so locks out neither the gateways that are there nor a new one,
 * which has its first answer within milliseconds.
 */
export function limitConnections(server: Server, max: number): ConnectionLimit {
  const strangers = new Map<string, Socket>();
  let open = 0;
  server.prependListener('connection', (socket: Socket) => {
    const name = nameOf(socket);
    open += 1;
    strangers.set(name, socket);
    socket.once('close', () => {
      open -= 1;
      strangers.delete(name);
    });
    if (open <= max) return;
    // The newcomer itself, where all others are known.
    const [oldest] = strangers.values();
    oldest?.destroy();
  });
  return { answered: (peer) => void strangers.delete(nameOf(peer)) };
}

function nameOf({ remoteAddress, remotePort }: Peer): string {
  return `${remoteAddress} ${remotePort}`;
}
