import { createHash } from 'node:crypto';
import fc from 'fast-check';

/**
 * A page token with a valid checksum and any content. The checksum has no key, so every client can forge it.
 */
export function forgedPageToken(
  { time, key }: { time: bigint; key: Uint8Array },
  userId: string,
  filenamePrefix = '',
): string {
  const timeBytes = Buffer.alloc(8);
  timeBytes.writeBigInt64BE(time);
  const check = createHash('sha256')
    .update(JSON.stringify([userId, filenamePrefix]))
    .update(timeBytes)
    .update(key)
    .digest()
    .subarray(0, 8);
  return Buffer.concat([timeBytes, check, key]).toString('base64url');
}

const LAST_MS = BigInt(Date.parse('9999-12-31T23:59:59.999Z'));

/** Times at and beyond the limits of Date and of Postgres's timestamptz. */
const time = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: 0n, max: LAST_MS }),
  fc.constantFrom(
    -1n,
    LAST_MS + 1n,
    8_640_000_000_000_000n,
    8_640_000_000_000_001n,
    -8_640_000_000_000_000n,
    -210_866_803_200_001n,
    2n ** 63n - 1n,
    -(2n ** 63n),
  ),
);

/** Most keys begin with the prefix of the user, so that only the rest of the key is wrong. */
const keyOf = (userId: string) =>
  fc
    .tuple(
      fc.constantFrom('', `${userId}_`, `${userId}_a.txt`, 'another-user_'),
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.string({ unit: 'binary', maxLength: 20 }).map((text) => Buffer.from(text)),
        // The first two give valid keys.
        fc.constantFrom('b', '.pdf', '\0', '\ufffd', 'x'.repeat(1_000)).map((text) => Buffer.from(text)),
        fc
          .constantFrom([0xff], [0xc3], [0xed, 0xa0, 0x80], [0xef, 0xbb, 0xbf])
          .map((bytes) => Buffer.from(bytes)),
      ),
    )
    .map(([beginning, rest]) => Buffer.concat([Buffer.from(beginning), rest]));

export const forgedContent = (userId: string) => fc.record({ time, key: keyOf(userId) });
