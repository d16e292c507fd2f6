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
