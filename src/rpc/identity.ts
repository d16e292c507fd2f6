import { createHash, timingSafeEqual } from 'node:crypto';
import { FileError } from '../files/file-error.ts';

/** How the gateway proves that it is the gateway. */
export type GatewayProof = { kind: 'none' } | { kind: 'token'; tokens: readonly string[] };

export interface IdentityOptions {
  /** The metadata key that names the user. */
  userIdHeader: string;
  proof: GatewayProof;
}

export const GATEWAY_TOKEN_HEADER = 'x-gateway-token';

// 1 to 128 visible ASCII characters. Not the comma: HTTP joins repeated headers
// with it, so "a,b" may be two users.
const USER_ID = /^[\x21-\x2b\x2d-\x7e]{1,128}$/;

/**
 * Reads the user of a call from its metadata, once the caller has proven that
 * it may speak for users.
 *
 * @throws FileError GATEWAY_UNTRUSTED, USER_ID_MISSING, USER_ID_INVALID
 */
export function createIdentify({ userIdHeader, proof }: IdentityOptions): (headers: Headers) => string {
  const accepted = proof.kind === 'token' ? proof.tokens.map(digest) : undefined;

  return (headers) => {
    if (accepted !== undefined && !isAccepted(headers.get(GATEWAY_TOKEN_HEADER), accepted)) {
      throw new FileError(
        'GATEWAY_UNTRUSTED',
        `the caller is not a trusted gateway: ${GATEWAY_TOKEN_HEADER} is missing or wrong`,
        { metadata: { header: GATEWAY_TOKEN_HEADER } },
      );
    }
    const userId = headers.get(userIdHeader);
    if (userId === null || userId === '') {
      throw new FileError('USER_ID_MISSING', `the call's metadata names no user in ${userIdHeader}`, {
        metadata: { header: userIdHeader },
      });
    }
    if (!USER_ID.test(userId)) {
      throw new FileError(
        'USER_ID_INVALID',
        `${userIdHeader} must be one value of 1 to 128 visible ASCII characters without a comma`,
        { metadata: { header: userIdHeader } },
      );
    }
    return userId;
  };
}

/** Digests are of one length, so that the comparison tells neither length nor prefix. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function isAccepted(token: string | null, accepted: readonly Buffer[]): boolean {
  if (token === null) return false;
  const presented = digest(token);
  // Every token is compared, so that the time does not tell which one fitted.
  return accepted.map((expected) => timingSafeEqual(presented, expected)).includes(true);
}
