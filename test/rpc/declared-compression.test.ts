import { create, toBinary, toJsonString } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { CreateMultipartUploadRequestSchema } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { callOver, errorIn, WIRES } from '../harness/wire.ts';

const service = forAllTests(() => startTestService());

const request = create(CreateMultipartUploadRequestSchema, {
  partMd5s: Array.from({ length: 50_000 }, () => new Uint8Array()),
});
const MESSAGE = {
  binary: toBinary(CreateMultipartUploadRequestSchema, request),
  JSON: Buffer.from(toJsonString(CreateMultipartUploadRequestSchema, request)),
};

/** Headers that name a compression, though the message is not compressed. */
const DECLARED = { 'grpc-encoding': ['identity', 'gzip'], 'content-encoding': ['identity'] } as const;

describe.for(WIRES)('a message over $name that is not compressed', (wire) => {
  it.for(DECLARED[wire.encodingHeader])(
    'is refused for its many values with the encoding %s',
    async (name) => {
      const answer = callOver(service, wire, 'CreateMultipartUpload', wire.body(MESSAGE[wire.format]), {
        [wire.encodingHeader]: name,
      });
      const failure = await failureOf(answer.then((received) => Promise.reject(errorIn(received))));
      expect(failure.message).toContain('more than 11000 values');
    },
  );
});
