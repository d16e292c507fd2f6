import { describe, expect, it } from 'vitest';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { callOver, errorIn, WIRES, type Wire } from '../harness/wire.ts';

const service = forAllTests(() => startTestService());

/** The failure that answers a body, over one protocol. */
const failure = (wire: Wire, path: string, body: Uint8Array, headers?: Record<string, string>) =>
  failureOf(callOver(service, wire, path, body, headers).then((answer) => Promise.reject(errorIn(answer))));

const NOTHING = { binary: new Uint8Array(), JSON: Buffer.from('{}') };
const empty = (wire: Wire) => wire.body(NOTHING[wire.format]);

const INVALID_REQUEST = { code: 'InvalidArgument', reason: 'INVALID_REQUEST', domain: 'files.v1' };
const UNIMPLEMENTED = { code: 'Unimplemented', reason: 'UNIMPLEMENTED', domain: 'files.v1' };

describe.for(WIRES)('an error over $name carries an ErrorInfo', (wire) => {
  it('for bytes that are no message', async () => {
    const bytes = { binary: Buffer.from([0x07, 0xff]), JSON: Buffer.from('{"s3Key":') }[wire.format];
    expect(await failure(wire, 'GetFile', wire.body(bytes))).toMatchObject(INVALID_REQUEST);
  });

  it('for a text that is not UTF-8', async () => {
    const text = Buffer.from([0xc3, 0x28]);
    const bytes = {
      binary: Buffer.concat([Buffer.from([0x0a, text.length]), text]),
      JSON: Buffer.concat([Buffer.from('{"s3Key":"'), text, Buffer.from('"}')]),
    }[wire.format];
    expect(await failure(wire, 'GetFile', wire.body(bytes))).toMatchObject(INVALID_REQUEST);
  });

  it('for a message that is too large', async () => {
    const failed = await failure(wire, 'GetFile', wire.body(Buffer.alloc(20_000, ' ')));
    expect(failed).toMatchObject({
      code: 'ResourceExhausted',
      reason: 'MESSAGE_TOO_LARGE',
      domain: 'files.v1',
      metadata: { limit_bytes: '16384' },
    });
  });

  it('for a deadline that has passed', async () => {
    const spent = wire.timeoutHeader === 'grpc-timeout' ? '0m' : '0';
    const failed = await failure(wire, 'ListFiles', empty(wire), { [wire.timeoutHeader]: spent });
    expect(failed).toMatchObject({
      code: 'DeadlineExceeded',
      reason: 'DEADLINE_EXCEEDED',
      domain: 'files.v1',
    });
  });

  it('for a malformed deadline', async () => {
    const failed = await failure(wire, 'ListFiles', empty(wire), { [wire.timeoutHeader]: 'soon' });
    expect(failed).toMatchObject(INVALID_REQUEST);
  });

  it.for(['NoSuchMethod', '/no.such.v1.Service/Method'])('for the unknown method %s', async (path) => {
    expect(await failure(wire, path, empty(wire))).toMatchObject(UNIMPLEMENTED);
  });

  it('for an unknown compression', async () => {
    const failed = await failure(wire, 'ListFiles', wire.body(NOTHING[wire.format], true), {
      [wire.encodingHeader]: 'zstd',
    });
    expect(failed).toMatchObject(UNIMPLEMENTED);
  });

  it('for bytes that are not compressed as announced', async () => {
    const failed = await failure(wire, 'ListFiles', wire.body(Buffer.from('no gzip'), true), {
      [wire.encodingHeader]: 'gzip',
    });
    expect(failed).toMatchObject(INVALID_REQUEST);
  });

  it.runIf(wire.timeoutHeader === 'grpc-timeout')('for a body that is not one message', async () => {
    for (const body of [new Uint8Array(), Buffer.from([0, 0]), Buffer.from([0, 0, 0, 0, 9, 1])]) {
      const sent = wire.contentType.includes('text')
        ? Buffer.from(Buffer.from(body).toString('base64'))
        : body;
      expect(await failure(wire, 'ListFiles', sent)).toMatchObject(UNIMPLEMENTED);
    }
  });
});

describe.for(WIRES.filter(({ format }) => format === 'JSON'))('JSON over $name', (wire) => {
  it.for([
    ['CreatePresignedUpload', '{"filename": 5}', 'filename'],
    ['CreatePresignedUpload', '{"size": "many"}', 'size'],
    ['ListFiles', '{"pageSize": 1.5}', 'page_size'],
    ['CreateMultipartUpload', '{"partMd5s": ["%"]}', 'part_md5s'],
    ['CreatePresignedParts', '{"partNumbers": 1}', 'part_numbers'],
    ['BatchCreatePresignedUploads', '{"requests": [{"filename": 5}]}', 'requests'],
    ['BatchCreatePresignedUploads', '{"requests": [{}, {"size": "many"}]}', 'requests'],
  ] as const)('of %s with a wrong type, %s, names the field', async ([method, json, field]) => {
    const failed = await failure(wire, method, wire.body(Buffer.from(json)));
    expect(failed).toMatchObject({ ...INVALID_REQUEST, fields: [field] });
    expect(failed.message).toContain(field);
  });
});
