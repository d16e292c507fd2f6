import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { FileError } from '../../src/files/file-error.ts';
import { parseUpload } from '../../src/files/operations/create-presigned-upload.ts';
import { BATCH_MAX, parseBatch, parseS3Keys } from '../../src/files/rules/batch.ts';
import { parseFilename, parseFilenamePrefix } from '../../src/files/rules/filename.ts';
import { parseMd5 } from '../../src/files/rules/md5.ts';
import { parseMimeType } from '../../src/files/rules/mime-type.ts';
import { parsePageToken } from '../../src/files/rules/page-token.ts';
import { checkPartsExist, parsePartNumbers, parsePartPlan } from '../../src/files/rules/part-plan.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { parseUploadSize } from '../../src/files/rules/upload-size.ts';
import { createIdentify } from '../../src/rpc/identity.ts';
import { worstTexts } from '../harness/worst-texts.ts';

/** Ten times the longest time of any parser. A parser without a bound takes minutes for the longest text. */
const PARSE_MAX_MS = 5;

/**
 * The last length is the largest message. With the first length a quadratic parser fails in seconds instead
 * of minutes.
 */
const LENGTHS = [64 * 1024, 1024 * 1024];

const PLAN = { size: 10_000, partSize: 1, count: 10_000 };

type Input = [name: string, parse: () => unknown];

const eachText = (parse: (text: string) => unknown) => (length: number) =>
  worstTexts(length).map(([name, text]): Input => [name, () => parse(text)]);

const eachSize = (parse: (size: bigint) => unknown) => (length: number) =>
  [`9`, `-9`].map((digits): Input => {
    const size = BigInt(digits.padEnd(length / 16, '9'));
    return [digits, () => parse(size)];
  });

/**
 * Every parser of a request field: the field, and its worst inputs of a given length. A new parser needs one
 * entry.
 */
const PARSERS: Record<string, { field: string; inputs: (length: number) => Input[] }> = {
  parseFilename: { field: 'filename', inputs: eachText(parseFilename) },
  parseFilenamePrefix: { field: 'filename_prefix', inputs: eachText(parseFilenamePrefix) },
  parseMimeType: { field: 'mime_type', inputs: eachText(parseMimeType) },
  parseMd5: { field: 'md5', inputs: eachText(parseMd5) },
  parseS3Key: { field: 's3_key', inputs: eachText(parseS3Key) },
  parsePageToken: {
    field: 'page_token',
    inputs: eachText((text) => parsePageToken(text, { userId: 'user', filenamePrefix: '' })),
  },
  parseBatch: {
    field: 's3_keys',
    inputs: (length) => {
      const items = new Array(length / 2).fill('');
      return [
        ['no items', () => parseBatch('s3_keys', [])],
        ['empty items', () => parseBatch('s3_keys', items)],
      ];
    },
  },
  parseS3Keys: {
    field: 's3_keys[0]',
    inputs: (length) => [
      ['empty keys', () => parseS3Keys(new Array(BATCH_MAX).fill(''))],
      ['one long key', () => parseS3Keys(['k'.repeat(length)])],
    ],
  },
  parseUpload: {
    field: 'filename',
    inputs: (length) =>
      worstTexts(length / 4).map(([name, text]): Input => {
        return [name, () => parseUpload({ filename: text, mimeType: text, md5: text, size: -1n })];
      }),
  },
  parseUploadSize: { field: 'size', inputs: eachSize(parseUploadSize) },
  'parsePartPlan: the size': {
    field: 'size',
    inputs: eachSize((size) => parsePartPlan(size, [], { unitBytes: 1, maxBytes: 1 })),
  },
  'parsePartPlan: the MD5s': {
    field: 'part_md5s',
    inputs: (length) => {
      const parse = (md5s: Uint8Array[]) => parsePartPlan(10_000n, md5s, { unitBytes: 1, maxBytes: 10_000 });
      return [
        // An empty MD5 takes two bytes of a message.
        ['empty MD5s', () => parse(emptyMd5s(length / 2))],
        ['one long MD5', () => parse([...emptyMd5s(9_999), new Uint8Array(length)])],
      ];
    },
  },
  parsePartNumbers: {
    field: 'part_numbers',
    inputs: (length) => [
      ['only part 1', () => parsePartNumbers(onesOf(length))],
      ['a hundred numbers, the last twice', () => parsePartNumbers([...numbersTo(99), 99])],
    ],
  },
  checkPartsExist: {
    field: 'part_numbers',
    inputs: () => [['past the last part', () => checkPartsExist([...numbersTo(99), 10_001], PLAN)]],
  },
};

/** Parsers of data that comes from S3 and Postgres, and the function that calls the parsers of a request. */
const NOT_OF_REQUESTS = ['parseFingerprint', 'parseOwnedKey', 'parseFields'];

const md5s = new Map<number, Uint8Array[]>();
function emptyMd5s(count: number): Uint8Array[] {
  const made = md5s.get(count) ?? Array.from({ length: count }, () => new Uint8Array());
  md5s.set(count, made);
  return made;
}
const manyOnes = new Map<number, number[]>();
/** Cached, because a million numbers take longer to create than to refuse. */
function onesOf(count: number): number[] {
  const made = manyOnes.get(count) ?? new Array(count).fill(1);
  manyOnes.set(count, made);
  return made;
}
const numbersTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** The fastest of up to ten runs, because other processes use the same cores. */
function measured(parse: () => unknown): { error: unknown; ms: number } {
  let error: unknown;
  let fastestMs = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 10 && fastestMs >= PARSE_MAX_MS; run++) {
    const startMs = performance.now();
    try {
      parse();
      error = undefined;
    } catch (thrown) {
      error = thrown;
    }
    fastestMs = Math.min(fastestMs, performance.now() - startMs);
  }
  return { error, ms: fastestMs };
}

describe.each(Object.entries(PARSERS))('%s', (_, { field, inputs }) => {
  it('refuses 1 MiB of the worst inputs within 5 ms', () => {
    for (const [name, parse] of LENGTHS.flatMap(inputs)) {
      const { error, ms } = measured(parse);
      expect(error, name).toBeInstanceOf(FileError);
      expect((error as FileError).violations, name).toContainEqual(expect.objectContaining({ field }));
      expect(Buffer.byteLength((error as FileError).message), name).toBeLessThan(4_096);
      expect(ms, name).toBeLessThan(PARSE_MAX_MS);
    }
  });
});

describe('the table of parsers', () => {
  let exported: string[];
  beforeAll(async () => {
    const folder = join(import.meta.dirname, '../../src/files');
    const modules = await Promise.all(
      (await readdir(folder, { recursive: true }))
        .filter((name) => name.endsWith('.ts'))
        .map((name) => import(join(folder, name))),
    );
    exported = modules
      .flatMap((module) => Object.keys(module))
      .filter((name) => /^(parse|check)[A-Z]/.test(name));
  });

  it('lists every exported parse* and check* function of src/files', () => {
    const names = new Set(Object.keys(PARSERS).map((name) => name.replace(/:.*/, '')));
    expect([...names, ...NOT_OF_REQUESTS].sort()).toEqual(exported.sort());
  });
});

it('a user id of 1 MiB is refused within 5 ms', () => {
  const identify = createIdentify({ userIdHeader: 'x-user-id', proof: { kind: 'none' } });
  for (const [name, text] of LENGTHS.flatMap(worstTexts)) {
    const caller = { headers: { host: 'localhost', 'x-user-id': text }, connection: undefined };
    const { error, ms } = measured(() => identify(caller));
    expect(error, name).toMatchObject({ reason: 'USER_ID_INVALID' });
    expect(ms, name).toBeLessThan(PARSE_MAX_MS);
  }
});
