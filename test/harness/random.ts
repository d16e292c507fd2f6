import { createHash, randomBytes } from 'node:crypto';

/** The id of a user that no other test has. */
export function newUser(): string {
  return `user-${randomBytes(6).toString('hex')}`;
}

export function md5(bytes: string | Uint8Array, encoding: 'hex' | 'base64' = 'base64'): string {
  return createHash('md5').update(bytes).digest(encoding);
}
