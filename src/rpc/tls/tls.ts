import { constants } from 'node:crypto';
import type { RequestListener, ServerOptions } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';

/** In PEM. With `ca`, clients are asked for a certificate of that authority. */
export interface Pem {
  cert: Buffer;
  key: Buffer;
  ca?: Buffer;
}

/** Where the wires have their certificates from. */
export interface Certificates {
  readonly current: Pem;
  /** Tells of all that come after the current one. Connections that are there go on with what they began with. */
  onChange(listener: (next: Pem) => void): void;
}

/** A handshake takes milliseconds. Shorter than the stop's grace: Node waits for those under way, its default is 120 s. */
const HANDSHAKE_TIMEOUT_MS = 5_000;

function secureContext(pem: Pem): SecureContextOptions {
  return {
    ...pem,
    minVersion: 'TLSv1.2',
    // A resumed session is not verified again: it would outlive its certificate, and the authority that gave it.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/**
 * For the connections of either port. One without a certificate is let in, for the
 * orchestrator's sake: each call of a user is refused instead (`identity.ts`).
 */
function tlsOptions({ current }: Certificates): TlsOptions {
  return {
    ...secureContext(current),
    requestCert: current.ca !== undefined,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  };
}

/** The port of HTTP, for both of its versions (`http1-and-http2.ts`). */
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

/** The port of gRPC. grpc-js's own credentials know neither optional certificates nor new ones. */
export class CurrentCredentials extends ServerCredentials {
  constructor(certificates: Certificates) {
    super(tlsOptions(certificates), secureContext(certificates.current));
    certificates.onChange((next) => this.updateSecureContextOptions(secureContext(next)));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
