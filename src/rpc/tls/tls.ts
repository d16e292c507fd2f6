/**
 * `src/rpc/tls/` is TLS for both ports: the options of the servers (this file), certificates that are
 * reloaded from their files (`certificates.ts`), and the names in a client's certificate (`peer.ts`).
 *
 * The decision which client may speak for users does not belong here, but into `src/rpc/identity.ts`.
 */
import { constants } from 'node:crypto';
import type { RequestListener, ServerOptions } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';

/** Certificates and key in PEM. With `ca`, clients are asked for a certificate of that authority. */
export interface Pem {
  cert: Buffer;
  key: Buffer;
  ca?: Buffer;
}

/** The source of the certificates of both servers. */
export interface Certificates {
  readonly current: Pem;
  /**
   * Calls the listener with each new certificate. Open connections keep the certificate with which they
   * began.
   */
  onChange(listener: (next: Pem) => void): void;
}

/**
 * A handshake takes milliseconds. The limit must be shorter than the grace period of a stop, because Node
 * waits for handshakes under way. Node's default is 120 s.
 */
const HANDSHAKE_TIMEOUT_MS = 5_000;

function secureContext(pem: Pem): SecureContextOptions {
  return {
    ...pem,
    minVersion: 'TLSv1.2',
    // Forbids resumed sessions. They are not verified again, and would outlive their certificate and its
    // authority.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/**
 * The options for connections of both ports. Connections without a client certificate are accepted, because
 * orchestrators check the health without a certificate. Calls on such connections are refused by
 * `identity.ts`.
 */
function tlsOptions({ current }: Certificates): TlsOptions {
  return {
    ...secureContext(current),
    requestCert: current.ca !== undefined,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  };
}

/** The server of the HTTP port, for HTTP/1.1 and HTTP/2 (`http/http1-and-http2.ts`). */
export function createSecureServer(
  certificates: Certificates,
  options: ServerOptions,
  listener: RequestListener,
): Server {
  const protocols = { ALPNProtocols: ['h2', 'http/1.1'] };
  const server = createServer({ ...options, ...tlsOptions(certificates), ...protocols }, listener);
  certificates.onChange((next) => server.setSecureContext(secureContext(next)));
  return server;
}

/**
 * The credentials of the gRPC port. grpc-js's own allow neither optional client certificates nor a reload.
 */
export class CurrentCredentials extends ServerCredentials {
  constructor(certificates: Certificates) {
    super(tlsOptions(certificates), secureContext(certificates.current));
    certificates.onChange((next) => this.updateSecureContextOptions(secureContext(next)));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
