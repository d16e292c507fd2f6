import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { expect, test, vi } from 'vitest';
import { createAuthority } from '../harness/certificates.ts';
import { failureOf } from '../harness/failure.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { main } from './main.ts';
import { FILES, GATEWAY_DNS, type MtlsService, serverPair, startMtlsService } from './mtls-service.ts';

vi.setConfig({ testTimeout: 60_000 });

const OK = { files: [] };
const PROTOCOLS = ['gRPC', 'Connect over h2'] as const;

test('new certificates apply to new connections, and unusable certificates are ignored', async () => {
  await using mtls = await startMtlsService();
  const { serverAuthority, gatewayAuthority, secret } = mtls;
  const pair = await gatewayAuthority.issue({ names: [GATEWAY_DNS] });
  const kept = PROTOCOLS.map((protocol) => mtls.client(protocol, pair));
  for (const client of kept) expect(await client.listFiles({})).toMatchObject(OK);
  const atFirst = await shown(mtls);

  const broken = { ...(await serverPair(serverAuthority)), key: pair.key };
  await secret.replace(files(broken, gatewayAuthority.cert));
  const line = await mtls.service.logged('new certificates cannot be used; the old certificates stay in use');
  expect(JSON.stringify(line)).toContain('TLS_KEY_FILE is not the key of TLS_CERT_FILE');
  expect(await shown(mtls)).toEqual(atFirst);

  const newAuthority = await createAuthority();
  await secret.replace(files(await serverPair(serverAuthority), newAuthority.cert));
  await mtls.service.logged('new certificates are in use');
  const [ofGrpc, ofHttp] = await shown(mtls);
  expect(ofGrpc).toBe(ofHttp);
  expect(atFirst).not.toContain(ofGrpc);

  for (const client of kept) expect(await client.listFiles({})).toMatchObject(OK);
  for (const protocol of PROTOCOLS) {
    expect(await failureOf(mtls.client(protocol, pair).listFiles({}))).toMatchObject({
      reason: 'GATEWAY_UNTRUSTED',
    });
    const renewed = await newAuthority.issue({ names: [GATEWAY_DNS] });
    expect(await mtls.client(protocol, renewed).listFiles({})).toMatchObject(OK);
  }
  // The log never shows the private key.
  expect(mtls.service.printed.stdout).not.toContain('PRIVATE KEY');
  await mtls.service.stop();
});

test('the start fails with unusable certificates, and names all of them', async () => {
  await using directory = await temporaryDirectory();
  const authority = await createAuthority();
  const [pair, other] = await Promise.all([serverPair(authority), serverPair(authority)]);
  const write = async (name: string, text: string) => {
    const path = join(directory.path, name);
    await writeFile(path, text);
    return path;
  };
  const environment = {
    GATEWAY_AUTH: 'mtls',
    TLS_ALLOWED_SANS: GATEWAY_DNS,
    TLS_CERT_FILE: await write('cert', pair.cert),
    TLS_KEY_FILE: await write('key', pair.key),
    TLS_CLIENT_CA_FILE: await write('ca', authority.cert),
  };
  const refused = async (changed: Record<string, string>) => {
    const { code, stderr } = await main('serve', { ...environment, ...changed });
    expect(code).toBe(1);
    return stderr;
  };

  const three = await refused({
    TLS_CERT_FILE: join(directory.path, 'none'),
    TLS_KEY_FILE: await write('garbage', 'garbage'),
    TLS_CLIENT_CA_FILE: await write('cut', authority.cert + authority.cert.slice(0, 200)),
  });
  expect(three).toMatch(/^ +TLS_CERT_FILE ENOENT.*none/m);
  expect(three).toMatch(/^ +TLS_KEY_FILE must hold a private key.*garbage/m);
  expect(three).toMatch(/^ +TLS_CLIENT_CA_FILE must hold certificates.*cut/m);
  expect(three, 'no stack').not.toContain('    at ');

  expect(await refused({ TLS_KEY_FILE: await write('other', other.key) })).toMatch(
    /TLS_KEY_FILE is not the key of TLS_CERT_FILE/,
  );
  expect(await refused({ TLS_CLIENT_CA_FILE: await write('empty', '') })).toMatch(
    /TLS_CLIENT_CA_FILE must hold certificates/,
  );
});

function files(pair: { cert: string; key: string }, ca: string): Record<string, string> {
  return { [FILES.cert]: pair.cert, [FILES.key]: pair.key, [FILES.ca]: ca };
}

/** The serial numbers of the certificates that the service sends to new connections on both ports. */
function shown({ origins, serverAuthority }: MtlsService): Promise<string[]> {
  const ofOrigin = (origin: string) =>
    new Promise<string>((resolve, reject) => {
      const { hostname: host, port } = new URL(origin);
      const options = { host, port: Number(port), ca: serverAuthority.cert, ALPNProtocols: ['h2'] };
      const socket = connect(options, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.once('error', reject);
    });
  return Promise.all([origins.grpc, origins.http].map(ofOrigin));
}
