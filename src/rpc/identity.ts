import { hash, timingSafeEqual } from 'node:crypto';
import type { GatewayProof } from '../config/settings/gateway.ts';
import { FileError } from '../files/file-error.ts';
import { isUserId, USER_ID_MAX_CHARACTERS } from '../files/rules/user-id.ts';
import type { Caller } from './caller.ts';
import { peerOf } from './tls/peer.ts';

interface IdentityOptions {
  /** The metadata key whose value is the user id. */
  userIdHeader: string;
  /** How a gateway, the trusted caller that names the user of each call, proves that it may speak for users. */
  proof: GatewayProof;
}

const GATEWAY_TOKEN_HEADER = 'x-gateway-token';

/**
 * Creates a function that returns the user of a call. The function first checks the proof that the caller is a
 * gateway, and then reads the user id from the metadata.
 *
 * @throws FileError GATEWAY_UNTRUSTED, USER_ID_MISSING, USER_ID_INVALID
 */
export function createIdentify({ userIdHeader, proof }: IdentityOptions): (caller: Caller) => string {
  const assertTrusted = trustBy(proof);

  return (caller) => {
    assertTrusted(caller);
    const userId = headerIn(caller, userIdHeader);
    if (userId === undefined || userId === '') {
      throw new FileError('USER_ID_MISSING', `the call's metadata names no user in ${userIdHeader}`, {
        metadata: { header: userIdHeader },
      });
    }
    if (!isUserId(userId)) {
      throw new FileError(
        'USER_ID_INVALID',
        `${userIdHeader} must be one value of 1 to ${USER_ID_MAX_CHARACTERS} visible ASCII characters without a comma`,
        { metadata: { header: userIdHeader } },
      );
    }
    return userId;
  };
}

/**
 * Returns the value of a header. Node joins the values of a repeated header with a comma. The headers that
 * Node treats in another way, such as `set-cookie`, cannot be the setting USER_ID_HEADER
 * (`src/config/user-id-header.ts`).
 */
function headerIn({ headers }: Caller, name: string): string | undefined {
  return headers[name] as string | undefined;
}

function trustBy(proof: GatewayProof): (caller: Caller) => void {
  switch (proof.kind) {
    case 'none':
      return () => undefined;
    case 'token':
      return trustByToken(proof.tokens);
    case 'mtls':
      return trustByCertificate(new Set(proof.names));
  }
}

function trustByToken(tokens: readonly string[]): (caller: Caller) => void {
  const isAccepted = acceptTokens(tokens);
  return (caller) => {
    if (isAccepted(headerIn(caller, GATEWAY_TOKEN_HEADER))) return;
    throw new FileError(
      'GATEWAY_UNTRUSTED',
      `the caller is not a trusted gateway: ${GATEWAY_TOKEN_HEADER} is missing or wrong`,
      { metadata: { header: GATEWAY_TOKEN_HEADER } },
    );
  };
}

/**
 * Checks the client certificate. The error describes only the certificate of the caller itself, and does not
 * tell which names are allowed.
 */
function trustByCertificate(allowed: ReadonlySet<string>): (caller: Caller) => void {
  return ({ connection }) => {
    const peer = peerOf(connection);
    if ('names' in peer && peer.names.some((name) => allowed.has(name))) return;
    const problem = 'names' in peer ? 'none of its names is allowed' : peer.problem;
    throw new FileError(
      'GATEWAY_UNTRUSTED',
      `the caller is not a trusted gateway by its client certificate: ${problem}`,
      { metadata: { certificate: problem } },
    );
  };
}

/**
 * Creates a function that tells whether a token is one of the accepted tokens. The time that the function takes reveals
 * nothing about the accepted tokens.
 */
export function acceptTokens(tokens: readonly string[]): (token: string | undefined) => boolean {
  const accepted = tokens.map(digest);
  return (token) => {
    if (token === undefined) return false;
    const presented = digest(token);
    // Every token is compared, so that the duration does not reveal which token matched.
    return accepted.map((expected) => timingSafeEqual(presented, expected)).includes(true);
  };
}

/**
 * Hashes a token. All digests have the same length, as `timingSafeEqual` demands. So the comparison reveals neither
 * the length nor a prefix of a token.
 */
function digest(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}
