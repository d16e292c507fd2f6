import { isLoopbackHost } from '../loopback.ts';
import { list, oneOf, text, type Values } from '../setting.ts';
import { userIdHeaderProblem } from '../user-id-header.ts';

/**
 * The least length of the token of a gateway (the trusted caller that names the user). An attacker could guess a
 * shorter token.
 */
const TOKEN_MIN_CHARACTERS = 16;

const DNS_NAME = /^[a-z0-9-]+(\.[a-z0-9-]+)*$/;
const URI_NAME = /^[a-z][a-z0-9+.-]*:\/\/[\x21\x23-\x2b\x2d-\x7e]+$/;

/**
 * The settings for how the gateway names the user and proves its own identity, and for the certificates of
 * service and gateway.
 */
export const GATEWAY = {
  userIdHeader: text('USER_ID_HEADER', {
    problem: userIdHeaderProblem,
    default: 'x-user-id',
    desc: 'The metadata key in which the gateway names the user. Keys that HTTP, gRPC, browsers or proxies use for another purpose are refused.',
  }),
  auth: oneOf('GATEWAY_AUTH', {
    choices: ['none', 'token', 'mtls'],
    default: 'none',
    desc: 'How the gateway proves its identity: `none` (on loopback only), `token`, or `mtls` (a client certificate).',
  }),
  tokens: list('GATEWAY_TOKENS', {
    holds: (token) => token.length >= TOKEN_MIN_CHARACTERS && /^[\x21-\x7e]+$/.test(token),
    rule: `must be tokens of at least ${TOKEN_MIN_CHARACTERS} visible ASCII characters, separated by commas`,
    desc: 'With `token`: the accepted values of `x-gateway-token`, of 16 or more characters each, separated by commas. Set several during a rotation.',
  }),
  cert: text('TLS_CERT_FILE', {
    desc: 'The path of the service’s certificate and its chain in PEM. If set, both ports accept only TLS. This file and the next two are read again when they change.',
  }),
  key: text('TLS_KEY_FILE', { desc: 'The path of the private key of TLS_CERT_FILE in PEM.' }),
  clientCa: text('TLS_CLIENT_CA_FILE', {
    desc: 'With `mtls`: the path of the authorities of the gateway’s certificate in PEM.',
  }),
  allowedSans: list('TLS_ALLOWED_SANS', {
    holds: (name) => DNS_NAME.test(name) || URI_NAME.test(name),
    rule: 'must be lower-case DNS names without a wildcard, or URIs, separated by commas',
    desc: 'With `mtls`: DNS names or URIs (such as SPIFFE ids), separated by commas. The gateway’s certificate must contain one of them exactly.',
  }),
};

type GatewayValues = Values<typeof GATEWAY>;

/** How the gateway proves its identity. */
export type GatewayProof =
  | { kind: 'none' }
  | { kind: 'token'; tokens: readonly string[] }
  /**
   * `names` are names in a client certificate that TLS has verified, as `DNS:…` or `URI:…`. The certificate
   * must have one of them.
   */
  | { kind: 'mtls'; names: readonly string[] };

export function gatewayProof({ auth, tokens, allowedSans }: GatewayValues): GatewayProof {
  switch (auth) {
    case 'none':
      return { kind: 'none' };
    case 'token':
      return { kind: 'token', tokens: tokens ?? [] };
    case 'mtls':
      return { kind: 'mtls', names: (allowedSans ?? []).map(asInCertificate) };
  }
}

function asInCertificate(name: string): string {
  return `${URI_NAME.test(name) ? 'URI' : 'DNS'}:${name}`;
}

/** Paths of PEM files. */
export interface TlsFiles {
  cert: string;
  key: string;
  /**
   * The certificates of the authorities. One of these authorities must have signed the certificate of a
   * client. If unset, clients are not asked for a certificate.
   */
  clientCa: string | undefined;
}

export function tlsFiles({ cert, key, clientCa }: GatewayValues): TlsFiles | undefined {
  return cert === undefined || key === undefined ? undefined : { cert, key, clientCa };
}

export function* gatewayProblems(gateway: GatewayValues, host: string): Generator<string> {
  const { auth, tokens } = gateway;
  if (auth === 'token' && tokens === undefined) yield 'GATEWAY_TOKENS is required with GATEWAY_AUTH=token';
  // A setting that would be ignored is an error, because the operator who set it believes that the service checks it.
  if (auth !== 'token' && tokens !== undefined)
    yield 'GATEWAY_TOKENS does nothing without GATEWAY_AUTH=token';
  yield* auth === 'mtls' ? missingForMtls(gateway) : tlsProblems(gateway);
  if (auth === 'none' && !isLoopbackHost(host)) {
    yield `HOST must be a loopback address with GATEWAY_AUTH=none, and is ${host}: any client that reaches the service could act as any user (set GATEWAY_AUTH to token or mtls)`;
  }
}

function* missingForMtls(gateway: GatewayValues): Generator<string> {
  for (const key of ['cert', 'key', 'clientCa', 'allowedSans'] as const) {
    if (gateway[key] === undefined) yield `${GATEWAY[key].variable} is required with GATEWAY_AUTH=mtls`;
  }
}

function* tlsProblems(gateway: GatewayValues): Generator<string> {
  const { cert, key } = gateway;
  if (cert === undefined && key !== undefined) yield 'TLS_CERT_FILE is required with TLS_KEY_FILE';
  if (key === undefined && cert !== undefined) yield 'TLS_KEY_FILE is required with TLS_CERT_FILE';
  for (const ignored of ['clientCa', 'allowedSans'] as const) {
    if (gateway[ignored] !== undefined) {
      yield `${GATEWAY[ignored].variable} does nothing without GATEWAY_AUTH=mtls`;
    }
  }
}
