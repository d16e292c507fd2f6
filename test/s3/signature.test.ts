import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { createClient } from '../../src/s3/client.ts';
import { createSign } from '../../src/s3/signing/sign.ts';
import { presignedQuery, signingKey } from '../../src/s3/signing/signature.ts';
import { pathStyle } from '../harness/path-style.ts';

type AwsIdentity = { accessKeyId: string; secretAccessKey: string };

const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 });
const token = fc.string({ unit: fc.constantFrom(...'aA0-.'), minLength: 1, maxLength: 12 });
/** Only characters that HTTP allows in a header value. */
const value = fc.string({ unit: 'grapheme-ascii', maxLength: 60 });
const wellFormed = text.filter((one) => one.isWellFormed());

const requests = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'HEAD', 'DELETE'),
  path: fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.'), minLength: 1 }).map((key) => `/bucket/${key}`),
  headers: fc
    .record({
      'Content-Type': value,
      'Content-MD5': value,
      'Content-Length': fc.nat().map(String),
      'x-Amz-meta': value,
    })
    .chain((all) => fc.subarray(Object.entries(all)))
    .map((some) => ({ host: 'localhost:9000', ...Object.fromEntries(some) })),
  query: fc.dictionary(token, wellFormed, { maxKeys: 4, noNullPrototype: true }),
});

const keys = fc.record({
  credentials: fc.record({
    accessKeyId: token,
    secretAccessKey: wellFormed,
    sessionToken: fc.option(wellFormed, { nil: undefined }),
  }),
  region: token,
  seconds: fc.integer({ min: 1_500_000_000, max: 4_000_000_000 }),
  lifeSeconds: fc.integer({ min: 1, max: 604_800 }),
});

const { sha256 } = createClient({
  region: 'any',
  endpoint: undefined,
  forcePathStyle: true,
  credentials: undefined,
}).config;

it('a signature equals the SDK’s for random requests and keys', async () => {
  await fc.assert(
    fc.asyncProperty(requests, keys, async (request, { credentials, region, seconds, lifeSeconds }) => {
      const sdk = new S3RequestPresigner({ credentials: credentials as AwsIdentity, region, sha256 });
      const signingDate = new Date(seconds * 1_000);
      const signed = await sdk.presign(
        {
          ...request,
          protocol: 'http:',
          hostname: 'localhost',
          port: 9000,
          headers: { ...request.headers },
          query: { ...request.query },
        },
        {
          expiresIn: lifeSeconds,
          signingDate,
          signableHeaders: new Set(Object.keys(request.headers).map((name) => name.toLowerCase())),
          unhoistableHeaders: new Set(['x-amz-meta']),
        },
      );
      const time = signingDate.toISOString().replace(/[:-]|\.\d{3}/g, '');
      const key = signingKey(credentials, time.slice(0, 8), region);
      const ours = new URLSearchParams(presignedQuery(key, request, time, lifeSeconds));
      expect(Object.fromEntries(ours)).toEqual({ ...signed.query });
    }),
    { numRuns: 300 },
  );
});

/** A client with a modified hash, so that the SDK's signatures differ from ours. */
function modifiedClient() {
  const client = createClient({
    region: 'eu-west-1',
    endpoint: 'http://localhost:9000',
    forcePathStyle: true,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  });
  const { sha256: Sha256 } = client.config;
  let hashes = 0;
  class Modified {
    readonly hash: InstanceType<typeof Sha256>;
    constructor(secret?: ConstructorParameters<typeof Sha256>[0]) {
      this.hash = new Sha256(secret);
      this.hash.update('modified');
      hashes++;
    }
    update(data: Uint8Array) {
      this.hash.update(data);
    }
    digest() {
      return this.hash.digest();
    }
  }
  Object.assign(client.config, { sha256: Modified });
  return { client, hashes: () => hashes };
}

const location = {
  bucket: 'bucket',
  region: 'eu-west-1',
  endpoint: 'http://localhost:9000',
  forcePathStyle: true,
};

it('the SDK signs all requests if our signature differs from its own', async () => {
  const { client, hashes } = modifiedClient();
  const sign = createSign(client, pathStyle(location));
  const first = await sign('GET', parseS3Key('k'), 60);
  const before = hashes();
  const second = await sign('GET', parseS3Key('k'), 60);
  expect(hashes()).toBeGreaterThan(before);
  const ours = await createSign(
    createClient({ ...location, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } }),
    pathStyle(location),
  )('GET', parseS3Key('k'), 60);
  for (const { url } of [first, second]) expect(url).not.toBe(ours.url);
});
