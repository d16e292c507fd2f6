/**
 * `src/rpc/tls/` is TLS for the gRPC port and the HTTP port: the options of the servers (this file),
 * certificates that are reloaded from their files (`certificates.ts`), and the names in a client's
 * certificate (`peer.ts`).
 *
 * The decision which client may speak for users does not belong here, but in `src/rpc/identity.ts`.
 */
import { constants } from 'node:crypto';
import type { RequestListener, ServerOptions } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';

/** Certificates and key in PEM. If `ca` is set, the server asks each client for a certificate of that authority. */
export interface Pem {
  cert: Buffer;
  key: Buffer;
  ca?: Buffer;
}

/** The source of the certificates of the gRPC server and of the HTTP server. */
export interface Certificates {
  readonly current: Pem;
  /**
   * Calls the listener with each new certificate. Open connections keep the certificate with which they
   * began.
   */
  onChange(listener: (next: Pem) => void): void;
}

/**
 * The time limit for a TLS handshake, which normally takes milliseconds. It must be shorter than the grace period
 * of a stop (6 s, `src/server/app.ts`), because a stopping Node server waits for unfinished handshakes. Node's
 * default is 120 s.
 */
const HANDSHAKE_TIMEOUT_MS = 5_000;

function secureContext(pem: Pem): SecureContextOptions {
  return {
    ...pem,
    minVersion: 'TLSv1.2',
    // Forbids clients to resume a TLS session. The client's certificate is not verified again in a resumed session,
    // so sessions would still be accepted after their certificate or its authority is no longer valid.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/**
 * The options for connections of the gRPC port and of the HTTP port. Connections without a client certificate
 * are accepted, because orchestrators such as Kubernetes check the health of the service without a
 * certificate. With GATEWAY_AUTH=mtls, `src/rpc/identity.ts` refuses the calls of users on such connections.
 */
function tlsOptions({ current }: Certificates): TlsOptions {
  return {
    ...secureContext(current),
    requestCert: current.ca !== undefined,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  };
}

/** The server of the HTTP port, for HTTP/1.1 and HTTP/2 (`../http/http1-and-http2.ts`). */
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
 * The credentials of the gRPC port. The credentials of grpc-js itself allow neither optional client certificates
 * nor new certificates while the server runs.
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
