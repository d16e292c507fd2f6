/**
 * CRC64NVME, the checksum that the AWS CLI sends since 2.23 and that Node does not have. The 64 bits are two
 * numbers of 32 bits, because a loop over BigInt is many times slower.
 * https://reveng.sourceforge.io/crc-catalogue/all.htm#crc.cat.crc-64-nvme
 */

/** The reflected polynomial 0x9a6c9329ac4bc9b5. */
const POLYNOMIAL_HIGH = 0x9a6c9329;
const POLYNOMIAL_LOW = 0xac4bc9b5;

/**
 * A table with the CRC of each single byte, so that the digest needs one look-up for each byte. The first 256 numbers
 * are the high halves, and the other 256 are the low halves.
 */
const REMAINDERS = Uint32Array.from({ length: 512 }, (_, index) => {
  let [high, low] = [0, index & 0xff];
  for (let bit = 0; bit < 8; bit++) {
    const isOdd = low & 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (isOdd) [high, low] = [high ^ POLYNOMIAL_HIGH, low ^ POLYNOMIAL_LOW];
  }
  return index < 256 ? high : low;
});

export function crc64NvmeDigest() {
  let high = 0xffffffff;
  let low = 0xffffffff;
  return {
    update: (chunk: Buffer): void => {
      for (const byte of chunk) {
        const index = (low ^ byte) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ (REMAINDERS[256 + index] as number);
        high = (high >>> 8) ^ (REMAINDERS[index] as number);
      }
    },
    digest: (): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32BE(~high >>> 0, 0);
      bytes.writeUInt32BE(~low >>> 0, 4);
      return bytes;
    },
  };
}
