import { describe, expect, it } from 'vitest';
import { isLoopbackAuthority } from '../../src/config/loopback.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { envelope } from '../resilience/http2-frames.ts';
import { ask, grpc, json, tell } from '../resilience/raw-calls.ts';

const LOOPBACK = [
  'localhost',
  'LOCALHOST:8080',
  'files.localhost:1',
  '127.0.0.1',
  '127.8.9.10:50051',
  '[::1]',
  '[::1]:8080',
];
const STRANGE = [
  undefined,
  '',
  'evil.example',
  'evil.example:8080',
  'localhost.evil.example',
  'evil-localhost',
  'localhost@evil.example',
  'evil.example@localhost',
  'localhost:8080:8080',
  'localhost, evil.example',
  '128.0.0.1',
  '127.0.0.1.evil.example',
  '127.0.0.1.',
  '0.0.0.0',
  '[::2]',
  '[::ffff:128.0.0.1]',
  '::1',
];

describe('a host name', () => {
  it.each(LOOPBACK)('%s is a loopback name', (authority) =>
    expect(isLoopbackAuthority(authority)).toBe(true),
  );
  it.each(STRANGE)('%s is not a loopback name', (authority) =>
    expect(isLoopbackAuthority(authority)).toBe(false),
  );
});

describe('GATEWAY_AUTH=none', () => {
  const service = forAllTests(() => startTestService());

  const http1 = (host: string) =>
    tell(
      service.app.httpPort,
      `POST /files.v1.FileService/ListFiles HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nX-User-Id: ada\r\nContent-Length: 2\r\n\r\n{}`,
    );

  it('accepts calls to a loopback name', async () => {
    expect(await http1('localhost')).toMatchObject({ outcome: '200' });
    expect(await ask(service.app.grpcPort, grpc('ListFiles'), envelope(new Uint8Array()))).toMatchObject({
      outcome: '200 grpc 0',
    });
  });

  it('refuses calls to any other name, because DNS rebinding may point it here', async () => {
    const authority = { ':authority': 'evil.example' };
    const answers = [
      await http1('evil.example'),
      await ask(service.app.httpPort, json('ListFiles', authority), Buffer.from('{}')),
    ];
    expect(answers.map(({ outcome }) => outcome)).toEqual(['421', '421']);
    for (const { text } of answers) expect(decodeURIComponent(text)).toContain('by a loopback name only');
  });

  it('accepts gRPC calls under any authority: clients may set one, and no web page can', async () => {
    const call = grpc('ListFiles', { ':authority': 'files.example' });
    expect(await ask(service.app.grpcPort, call, envelope(new Uint8Array()))).toMatchObject({
      outcome: '200 grpc 0',
    });
  });

  it('refuses requests for pages under any other name', async () => {
    const page = (host: string) =>
      tell(service.app.httpPort, `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect(await page('localhost')).toMatchObject({ outcome: '200' });
    expect(await page('evil.example')).toMatchObject({ outcome: '421' });
  });
});
