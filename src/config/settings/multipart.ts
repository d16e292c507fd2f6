import { PART_MAX_BYTES, PART_MIN_BYTES, PART_UNIT_BYTES, PARTS_MAX } from '../../files/rules/part-plan.ts';
import { integer, type Values } from '../setting.ts';

const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;

/** Multipart uploads: their lifetime, and the sizes of parts and files. */
export const MULTIPART = {
  lifeSeconds: integer('MULTIPART_TTL_SECONDS', {
    min: HOUR_SECONDS,
    max: 90 * DAY_SECONDS,
    default: 7 * DAY_SECONDS,
    desc: 'How long a multipart upload can be resumed after the last call that renewed it. Its parts are removed a day or more later.',
  }),
  unitBytes: integer('MULTIPART_PART_BYTES', {
    min: PART_MIN_BYTES,
    max: PART_MAX_BYTES,
    default: PART_UNIT_BYTES,
    desc: 'Part sizes are multiples of this. Clients compute part sizes with the default, so change the value only for tests.',
  }),
  maxBytes: integer('MULTIPART_MAX_BYTES', {
    min: 1,
    max: PARTS_MAX * PART_MAX_BYTES,
    default: 5 * 1024 ** 4,
    desc: 'The size of the largest file in bytes. Every S3 server accepts 5 TiB; Amazon’s accepts more.',
  }),
};

export function* multipartProblems({ unitBytes, maxBytes }: Values<typeof MULTIPART>): Generator<string> {
  const partsMaxBytes = PARTS_MAX * Math.floor(PART_MAX_BYTES / unitBytes) * unitBytes;
  if (maxBytes > partsMaxBytes) {
    yield `MULTIPART_MAX_BYTES must be at most ${partsMaxBytes} with this MULTIPART_PART_BYTES, because no part may have more than 5 GiB`;
  }
}
