import { gunzipSync } from 'node:zlib';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  CreatePresignedPartsRequestSchema,
  CreatePresignedPartsResponseSchema,
} from '../../gen/files/v1/file_service_pb.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { md5, newUser } from '../harness/random.ts';
import { PROTOCOLS, startTestService } from '../harness/service.ts';
import { callOver, WIRES, type Wire } from '../harness/wire.ts';

const PART_BYTES = 64 * 1024 ** 2;
const PARTS = 500;

const service = forAllTests(() => startTestService());

let user: string;
let s3Key: string;
beforeAll(async () => {
  user = newUser();
  ({ s3Key } = await service.as(user).createMultipartUpload({
    filename: 'large.bin',
    mimeType: 'application/octet-stream',
    size: BigInt(PART_BYTES) * BigInt(PARTS),
    partMd5s: Array.from({ length: PARTS }, (_, part) => Buffer.from(md5(`part ${part}`), 'base64')),
  }));
});

/** Asks for the URLs of some parts. The answer for all parts has 300 kB. */
function ask(wire: Wire, parts: number, accepted: string) {
  const partNumbers = Array.from({ length: parts }, (_, i) => i + 1);
  const request = create(CreatePresignedPartsRequestSchema, { s3Key, partNumbers });
  const accept = wire.encodingHeader === 'grpc-encoding' ? 'grpc-accept-encoding' : 'accept-encoding';
  return callOver(
    service,
    wire,
    'CreatePresignedParts',
    wire.body(toBinary(CreatePresignedPartsRequestSchema, request)),
    {
      'x-user-id': user,
      [accept]: accepted,
    },
  );
}

const BINARY = WIRES.filter(({ format, name }) => format === 'binary' && !name.includes('text'));

describe.each(BINARY)('over $name, an answer', (wire) => {
  const hasPrefix = wire.encodingHeader === 'grpc-encoding';
  const encodingOf = (headers: Record<string, unknown>) => headers[wire.encodingHeader] ?? 'identity';

  it.each(['gzip', 'identity,deflate,gzip'])(
    'of 300 kB is sent as gzip to a client that accepts %s',
    async (accepted) => {
      const { headers, body } = await ask(wire, PARTS, accepted);
      expect(encodingOf(headers)).toBe('gzip');
      if (hasPrefix) expect(body[0]).toBe(1);
      const message = hasPrefix ? body.subarray(5, 5 + body.readUInt32BE(1)) : body;
      expect(message.length).toBeLessThan(100_000);
      const { parts } = fromBinary(CreatePresignedPartsResponseSchema, gunzipSync(message));
      expect(parts).toHaveLength(PARTS);
    },
  );

  it.each(['identity', 'zstd'])('is not compressed for a client that accepts %s', async (accepted) => {
    const { headers, body } = await ask(wire, PARTS, accepted);
    expect(encodingOf(headers)).toBe('identity');
    expect(body.length).toBeGreaterThan(250_000);
  });

  it('of 6 kB is not compressed', async () => {
    const { headers, body } = await ask(wire, 10, 'gzip');
    // connect-node names the encoding also for a message that it does not compress; the flag decides.
    if (hasPrefix) expect(body[0]).toBe(0);
    else expect(encodingOf(headers)).toBe('identity');
  });
});

describe('an answer over Connect', () => {
  const connect = WIRES.find(
    ({ encodingHeader, format }) => encodingHeader === 'content-encoding' && format === 'binary',
  );

  it.each([
    ['gzip;q=1.0,deflate;q=0.6,identity;q=0.3', 'gzip'],
    ['br;q=0.9, gzip; q=0.5', 'br'],
    ['gzip;q=0, br;q=0.001', 'br'],
    ['GZIP', 'gzip'],
    ['gzip;q=0', 'identity'],
    ['gzip;q=0.000, identity', 'identity'],
    ['', 'identity'],
    // A value that no client sends is not searched for weights.
    [`gzip;q=1${','.repeat(250)}`, 'identity'],
  ])('to a client that accepts "%s" has the encoding %s', async (accepted, encoding) => {
    const { headers } = await ask(connect as Wire, PARTS, accepted);
    expect(headers['content-encoding'] ?? 'identity').toBe(encoding);
  });
});

it.each(PROTOCOLS)('a client over %s reads a compressed answer', async (protocol) => {
  const partNumbers = Array.from({ length: PARTS }, (_, i) => i + 1);
  const { parts } = await service.as(user, protocol).createPresignedParts({ s3Key, partNumbers });
  expect(parts.map(({ partNumber }) => partNumber)).toEqual(partNumbers);
});
