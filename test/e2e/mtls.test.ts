import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { get } from 'node:https';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { createClient } from '@connectrpc/connect';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { Health, HealthCheckResponse_ServingStatus } from '../../gen/health/v1/health_pb.ts';
import { createAuthority, selfSigned } from '../harness/certificates.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { download, upload } from '../harness/upload.ts';
import { GATEWAY_DNS, GATEWAY_URI, type Shown, startMtlsService, TLS_PROTOCOLS } from './mtls-service.ts';

vi.setConfig({ testTimeout: 60_000 });

/** The connection preface of HTTP/2 with empty settings (RFC 9113, section 3.4). */
const HTTP2_BEGIN = Buffer.from(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0`, 'latin1');

const mtls = forAllTests(startMtlsService);
afterAll(() => mtls.service.stop());

const gateway = (names: readonly string[]) => mtls.gatewayAuthority.issue({ names });

describe.each(TLS_PROTOCOLS)('over %s', (protocol) => {
  test.each([
    ['DNS', [GATEWAY_DNS]],
    ['URI', [GATEWAY_URI]],
    ['one of several', ['other.internal', GATEWAY_URI, '127.0.0.1']],
  ])('accepts a gateway by a name of its certificate: %s', async (_, names) => {
    const client = mtls.client(protocol, await gateway(names));
    const s3Key = await upload(client, 'a.txt', `${protocol} ${names}`);
    expect(await download(client, s3Key)).toBe(`${protocol} ${names}`);
  });

  test.each<[string, string, () => Promise<Shown>]>([
    ['no certificate', 'no certificate', async () => undefined],
    ['a self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT', () => selfSigned({ names: [GATEWAY_DNS] })],
    [
      'a certificate of another authority',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      async () => (await createAuthority()).issue({ names: [GATEWAY_DNS] }),
    ],
    [
      'an expired certificate',
      'CERT_HAS_EXPIRED',
      () => mtls.gatewayAuthority.issue({ names: [GATEWAY_DNS], validMs: -1_000 }),
    ],
    [
      'a certificate for servers',
      'INVALID_PURPOSE',
      () => mtls.gatewayAuthority.issue({ names: [GATEWAY_DNS], use: 'server' }),
    ],
    ['another name', 'none of its names is allowed', () => gateway(['reports.internal'])],
    ['a subdomain of the allowed name', 'none of its names is allowed', () => gateway([`a.${GATEWAY_DNS}`])],
    ['a wildcard', 'none of its names is allowed', () => gateway(['*.internal'])],
    ['a path below the allowed URI', 'none of its names is allowed', () => gateway([`${GATEWAY_URI}/x`])],
    [
      'a name that looks like two names',
      'none of its names is allowed',
      () => gateway([`a, DNS:${GATEWAY_DNS}, b`]),
    ],
  ])('refuses %s', async (_, certificate, shown) => {
    const client = mtls.client(protocol, await shown());
    expect(await failureOf(client.listFiles({}))).toMatchObject({
      code: 'Unauthenticated',
      reason: 'GATEWAY_UNTRUSTED',
      domain: 'files.v1',
      metadata: { certificate },
    });
  });
});

describe('without a certificate', () => {
  test('health and reflection answer', async () => {
    const transport = mtls.transport('gRPC', undefined);
    const { status } = await createClient(Health, transport).check({});
    expect(status).toBe(HealthCheckResponse_ServingStatus.SERVING);
    const reflection = createClient(ServerReflection, transport);
    async function* question() {
      yield { messageRequest: { case: 'listServices' as const, value: '' } };
    }
    for await (const { messageResponse } of reflection.serverReflectionInfo(question())) {
      expect(messageResponse.case).toBe('listServicesResponse');
    }
  });

  test.each(['/livez', '/readyz', '/metrics'])('%s answers', async (path) => {
    expect(await statusOverHttp1(path)).toBe(200);
    expect(await statusOverH2(path)).toBe(200);
  });
});

describe.each(['grpc', 'http'] as const)('the port of %s', (port) => {
  test('negotiates h2 and TLS 1.3', async () => {
    const socket = await handshake(port, { ALPNProtocols: ['h2', 'http/1.1'] });
    expect([socket.alpnProtocol, socket.getProtocol()]).toEqual(['h2', 'TLSv1.3']);
    socket.destroy();
  });

  test('refuses plain text and TLS before 1.2', async () => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(handshake(port, old)).rejects.toThrow('protocol version');
    await expect(fetch(mtls.origins[port].replace('https:', 'http:'))).rejects.toThrow();
    const socket = await handshake(port, { maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'] });
    expect(socket.getProtocol()).toBe('TLSv1.2');
    socket.destroy();
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('does not resume TLS sessions with %s', async (version) => {
    const options = { ...(await gateway([GATEWAY_DNS])), maxVersion: version, ALPNProtocols: ['h2'] };
    const sessions: Buffer[] = [];
    const first = await handshake(port, options, (session) => sessions.push(session));
    first.write(HTTP2_BEGIN);
    await once(first, 'data'); // the settings of the server, which follow any session ticket
    const session = sessions.at(-1) ?? first.getSession();
    first.destroy();
    const second = await handshake(port, { ...options, ...(session && { session }) });
    expect(second.isSessionReused()).toBe(false);
    second.destroy();
  });
});

function handshake(
  port: 'grpc' | 'http',
  options: ConnectionOptions,
  onSession = (_: Buffer): unknown => undefined,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { hostname, port: number } = new URL(mtls.origins[port]);
    const socket = connect({
      host: hostname,
      port: Number(number),
      ca: mtls.serverAuthority.cert,
      ...options,
    });
    socket.on('session', onSession);
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

function statusOverHttp1(path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(`${mtls.origins.http}${path}`, { ca: mtls.serverAuthority.cert, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

async function statusOverH2(path: string): Promise<number | undefined> {
  const session = connectHttp2(mtls.origins.http, { ca: mtls.serverAuthority.cert });
  try {
    return await new Promise((resolve, reject) => {
      session.on('error', reject);
      const request = session.request({ ':path': path });
      request.on('error', reject);
      request.on('response', (headers) => resolve(headers[':status']));
    });
  } finally {
    session.destroy();
  }
}
