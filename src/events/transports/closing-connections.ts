import type { Socket } from 'node:net';
import { ChannelCredentials, type experimental } from '@grpc/grpc-js';

/**
 * The time that the consumer has to end its side of a connection that the service has ended. Nothing else is expected
 * on such a connection.
 */
const END_TIMEOUT_MS = 1_000;

/**
 * Closes the connections of a channel. grpc-js only ends its own side of a connection (after GOAWAY, or when the
 * channel is closed), and never gives up a connection whose handshake does not end. With a consumer that hangs, each
 * such connection stayed open: 20 deliveries left 18.
 *
 * grpc-js shows its connections only to credentials, by `_createSecureConnector`. test/events/grpc-hostile.test.ts fails
 * if a release of grpc-js no longer does.
 */
export class ClosingCredentials extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #sockets = new Set<Socket>();

  constructor(inner: ChannelCredentials) {
    super();
    this.#inner = inner;
  }

  _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  /** No other channel may share the connections of this one. */
  _equals(other: ChannelCredentials): boolean {
    return other === this;
  }

  _createSecureConnector(
    ...params: Parameters<ChannelCredentials['_createSecureConnector']>
  ): experimental.SecureConnector {
    const connector = this.#inner._createSecureConnector(...params);
    return {
      connect: async (socket) => {
        this.#watch(socket);
        const connected = await connector.connect(socket);
        this.#watch(connected.socket);
        return connected;
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  }

  #watch(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('finish', () => destroyLater(socket));
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** To be called after the channel was closed. */
  closeConnections(): void {
    for (const socket of this.#sockets) destroyLater(socket);
  }
}

function destroyLater(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), END_TIMEOUT_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}
