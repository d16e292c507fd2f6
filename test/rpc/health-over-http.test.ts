import { describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { callOver, errorIn, WIRES, type Wire } from '../harness/wire.ts';
import { envelope } from '../resilience/http2-frames.ts';

const service = forAllTests(() => startTestService());

const CHECK = '/grpc.health.v1.Health/Check';
const LIST = '/grpc.health.v1.Health/List';

const EMPTY = { binary: new Uint8Array(), JSON: Buffer.from('{}') };
const SERVING = { binary: Buffer.from([8, 1]), JSON: Buffer.from('{"status":"SERVING"}') };

/** The bytes of a successful answer. */
function answered({ name, format, body }: Wire): Buffer {
  if (!name.startsWith('gRPC-Web')) return Buffer.from(body(SERVING[format]));
  const chunks = [envelope(SERVING[format]), envelope(Buffer.from('grpc-status: 0\r\n'), 0x80)];
  if (name !== 'gRPC-Web as text') return Buffer.concat(chunks);
  return Buffer.from(chunks.map((chunk) => chunk.toString('base64')).join(''));
}

const failure = async (wire: Wire, message: Uint8Array, headers?: Record<string, string>) =>
  errorIn(await callOver(service, wire, CHECK, wire.body(message), headers));

describe.for(WIRES.filter(({ port }) => port === 'HTTP'))('health over $name', (wire) => {
  it('Check answers the status in the encoding of the request', async () => {
    const { headers, trailers, body } = await callOver(service, wire, CHECK, wire.body(EMPTY[wire.format]));
    const format = wire.format === 'JSON' ? 'json' : 'proto';
    const type = wire.contentType.replace(/\+.*/, '');
    const isConnect = !type.startsWith('application/grpc');
    expect(headers[':status']).toBe(200);
    expect(headers['content-type']).toBe(isConnect ? `application/${format}` : `${type}+${format}`);
    expect(body).toEqual(answered(wire));
    expect(trailers['grpc-status']).toBe(type === 'application/grpc' ? '0' : undefined);
  });

  it('List answers both names of the service', async () => {
    const { body } = await callOver(service, wire, LIST, wire.body(EMPTY[wire.format]));
    const isText = wire.name === 'gRPC-Web as text';
    const plain = isText ? Buffer.from(body.toString(), 'base64') : body;
    expect(plain.toString()).toContain('files.v1.FileService');
  });

  it('Check of an unknown service answers NOT_FOUND', async () => {
    const unknown = { binary: Buffer.from([0x0a, 1, 0x61]), JSON: Buffer.from('{"service":"a"}') };
    const { code, rawMessage } = await failure(wire, unknown[wire.format]);
    expect([code, rawMessage]).toEqual([5, 'the server has no such service']);
  });

  it('malformed messages answer INVALID_ARGUMENT', async () => {
    const malformed = {
      binary: [Buffer.from([0x07, 0xff]), Buffer.from([0x0a, 2, 0xc3, 0x28])],
      JSON: [Buffer.from('{"service":'), Buffer.from('{"service":5}'), Buffer.from([0x22, 0xc3, 0x28])],
    };
    for (const message of malformed[wire.format]) {
      const { code, details } = await failure(wire, message);
      expect(code).toBe(3);
      expect(details).not.toEqual([]);
    }
  });

  it('a call with a compression is answered as well', async () => {
    const { headers, body } = await callOver(service, wire, CHECK, wire.body(EMPTY[wire.format]), {
      [wire.encodingHeader]: 'identity',
    });
    expect([headers[':status'], body.length > 0]).toEqual([200, true]);
    expect((await failure(wire, EMPTY[wire.format], { [wire.encodingHeader]: 'zstd' })).code).toBe(12);
  });
});
