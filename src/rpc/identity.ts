import { hash, timingSafeEqual } from 'node:crypto';
import type { GatewayProof } from '../config/config.ts';
import { FileError } from '../files/file-error.ts';
import type { Caller } from './caller.ts';
import { peerOf } from './tls/peer.ts';

export interface IdentityOptions {
  /** The metadata key that names the user. */
  userIdHeader: string;
  proof: GatewayProof;
}

export const GATEWAY_TOKEN_HEADER = 'x-gateway-token';

const USER_ID_MAX_CHARACTERS = 128;

// Visible ASCII characters. Not the comma: HTTP joins repeated headers with it, so "a,b" may be two users.
const USER_ID = /^[\x21-\x2b\x2d-\x7e]+$/;

/**
 * Reads the user of a call from its metadata, once the caller has proven that
 * it may speak for users.
 *
 * @throws FileError GATEWAY_UNTRUSTED, USER_ID_MISSING, USER_ID_INVALID
 */
export function createIdentify({ userIdHeader, proof }: IdentityOptions): (caller: Caller) => string {
  const assertTrusted = trustBy(proof);

  return (caller) => {
    assertTrusted(caller);
    const userId = caller.header(userIdHeader);
    if (userId === undefined || userId === '') {
      throw new FileError('USER_ID_MISSING', `the call's metadata names no user in ${userIdHeader}`, {
        metadata: { header: userIdHeader },
      });
    }
    if (userId.length > USER_ID_MAX_CHARACTERS || !USER_ID.test(userId)) {
      throw new FileError(
        'USER_ID_INVALID',
        `${userIdHeader} must be one value of 1 to ${USER_ID_MAX_CHARACTERS} visible ASCII characters without a comma`,
        { metadata: { header: userIdHeader } },
      );
    }
    return userId;
  };
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
  const accepted = tokens.map(digest);
  return (caller) => {
    if (isAccepted(caller.header(GATEWAY_TOKEN_HEADER), accepted)) return;
    throw new FileError(
      'GATEWAY_UNTRUSTED',
      `the caller is not a trusted gateway: ${GATEWAY_TOKEN_HEADER} is missing or wrong`,
      { metadata: { header: GATEWAY_TOKEN_HEADER } },
    );
  };
}

/** The caller is told of its own certificate only, which it knows. */
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

/** Digests are of one length, so that the comparison tells neither length nor prefix. */
function digest(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}

function isAccepted(token: string | undefined, accepted: readonly Buffer[]): boolean {
  if (token === undefined) return false;
  const presented = digest(token);
  // Every token is compared, so that the time does not tell which one fitted.
  return accepted.map((expected) => timingSafeEqual(presented, expected)).includes(true);
}
