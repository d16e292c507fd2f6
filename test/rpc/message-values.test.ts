import { create, toBinary, toJsonString } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { CreateMultipartUploadRequestSchema } from '../../gen/files/v1/file_service_pb.ts';
import { refuseManyValues } from '../../src/rpc/limits/message-values.ts';

const FORMATS = {
  binary: (partMd5s: Uint8Array[]) =>
    toBinary(CreateMultipartUploadRequestSchema, create(CreateMultipartUploadRequestSchema, { partMd5s })),
  json: (partMd5s: Uint8Array[]) =>
    Buffer.from(
      toJsonString(
        CreateMultipartUploadRequestSchema,
        create(CreateMultipartUploadRequestSchema, { partMd5s }),
      ),
    ),
};

describe.for(['binary', 'json'] as const)('a message in %s', (format) => {
  const messageOf = (count: number, length: number) =>
    FORMATS[format](Array.from({ length: count }, () => new Uint8Array(length)));

  it('may have the MD5s of 10,001 parts, whose error then names their field', () => {
    expect(() => refuseManyValues(messageOf(10_001, 16), format)).not.toThrow();
  });

  it('is refused before it is decoded when it has more values than any honest message', () => {
    expect(() => refuseManyValues(messageOf(50_000, 0), format)).toThrow(/more than 11000 values/);
  });
});

it('a malformed message is left to the decoder, whose error tells what is wrong', () => {
  expect(() => refuseManyValues(Buffer.alloc(20_000, 0xff), 'binary')).not.toThrow();
});

describe('JSON with a text of more than 16 KiB', () => {
  const withSize = (size: string) =>
    Buffer.from(`{"requests": [{"size": ${size}}], "other": "${' '.repeat(10)}"}`);

  it('is refused before the decoder makes a number of its digits', () => {
    expect(() => refuseManyValues(withSize(`"${'9'.repeat(16_385)}"`), 'json')).toThrow(
      /a text of more than 16384 bytes/,
    );
  });

  it('may have up to 16 KiB of it, and any number of texts', () => {
    expect(() => refuseManyValues(withSize(`"${'9'.repeat(16_384)}"`), 'json')).not.toThrow();
    const texts = Array.from({ length: 1_000 }, () => `"${'a\\"'.repeat(100)}"`);
    expect(() => refuseManyValues(Buffer.from(`[${texts}]`), 'json')).not.toThrow();
  });
});
