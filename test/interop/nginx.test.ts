import { readFile } from 'node:fs/promises';
import { get } from 'node:https';
import type { LookupFunction } from 'node:net';
import { join } from 'node:path';
import { createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { GATEWAY_DNS, type MtlsService, startMtlsService } from '../e2e/mtls-service.ts';
import { failureOf } from '../harness/failure.ts';
import { putTo } from '../harness/put.ts';
import { newUser } from '../harness/random.ts';
import { startNginx } from '../servers/nginx.ts';
import { findServer } from '../servers/server-program.ts';
import { describeWith } from './describe-with.ts';
import { expectWholeJourney, type Tool } from './journey.ts';

const PASSWORD = 'a password of the test';
const VICTIM = newUser();
const nginx = await findServer('nginx');

/**
 * All headers with which a client could claim to be another user, for the service or for a proxy in front of
 * it.
 */
const CLAIMS: readonly [string, string][] = [
  ['x-user-id', VICTIM],
  ['X-USER-ID', VICTIM],
  ['x_user_id', VICTIM],
  ['x-gateway-token', 'a-token-that-is-guessed'],
];

describeWith(
  'nginx as the gateway, with the configuration that README.md links to',
  nginx ? undefined : 'there is no nginx',
  () => {
    const resources = new AsyncDisposableStack();
    const people = { ada: newUser(), grace: newUser() };
    let mtls: MtlsService;
    let port: number;
    let origins: Record<'gRPC' | 'Connect', string>;
    let publicCa: string;

    beforeAll(async () => {
      mtls = resources.use(await startMtlsService());
      const { gatewayAuthority, serverAuthority, service } = mtls;
      const gateway = await gatewayAuthority.issue({ names: [GATEWAY_DNS] });
      const names = ['grpc.example.com', 'files.example.com'];
      const own = await serverAuthority.issue({ names, use: 'server' });
      publicCa = serverAuthority.cert;
      port = await anyFreePort();
      const files = {
        'public.crt': own.cert,
        'public.key': own.key,
        'gateway.crt': gateway.cert,
        'gateway.key': gateway.key,
        'ca.crt': serverAuthority.cert,
        users: Object.values(people)
          .map((user) => `${user}:{PLAIN}${PASSWORD}\n`)
          .join(''),
      };
      const written = await readFile(join(import.meta.dirname, 'nginx/files.conf'), 'utf8');
      const include = (directory: string) =>
        written
          .replaceAll('listen 443', `listen 127.0.0.1:${port}`)
          .replaceAll('files.internal:50051', service.grpc)
          .replaceAll('files.internal:8080', new URL(service.http).host)
          .replaceAll(/\/etc\/nginx\/(tls\/)?/g, `${directory}/`);
      resources.use(await startNginx(nginx ?? '', port, files, include));
      origins = { gRPC: `https://${names[0]}:${port}`, Connect: `https://${names[1]}:${port}` };
    });
    afterAll(() => resources.disposeAsync());

    const transport = (protocol: 'gRPC' | 'Connect', user: string, password: string): Transport => {
      const claim: Interceptor = (next) => (request) => {
        const credentials = Buffer.from(`${user}:${password}`).toString('base64');
        request.header.set('authorization', `Basic ${credentials}`);
        for (const [name, value] of CLAIMS) request.header.append(name, value);
        return next(request);
      };
      const options = {
        baseUrl: origins[protocol],
        nodeOptions: { ca: publicCa, lookup },
        interceptors: [claim],
      };
      return protocol === 'gRPC'
        ? createGrpcTransport(options)
        : createConnectTransport({ ...options, httpVersion: '1.1' });
    };

    const tool = (protocol: 'gRPC' | 'Connect'): Tool => ({
      call: async (method, request, user = '') => {
        const { message } = await transport(protocol, user, PASSWORD).unary(
          method,
          undefined,
          undefined,
          undefined,
          request,
        );
        return message;
      },
      put: async ({ presignedUrl, requiredHeaders }, bytes) =>
        (await putTo(presignedUrl, requiredHeaders, bytes)).status,
      async get(url) {
        const response = await fetch(url);
        const disposition = response.headers.get('content-disposition') ?? '';
        return { status: response.status, disposition, bytes: await response.text() };
      },
    });

    test.each([
      ['gRPC', people.ada],
      ['Connect', people.grace],
    ] as const)(
      'passes a whole journey over %s on, and replaces the user that the client claims',
      async (protocol, user) => {
        await expectWholeJourney(tool(protocol), user);
      },
    );

    test.each(['gRPC', 'Connect'] as const)('refuses a wrong password over %s', async (protocol) => {
      const client = createClient(FileService, transport(protocol, people.ada, 'a guess'));
      expect(await failureOf(client.listFiles({}))).toMatchObject({ code: 'Unauthenticated' });
    });

    test.each(['gRPC', 'Connect over h2'] as const)(
      'a client that bypasses the gateway over %s is refused by the service',
      async (protocol) => {
        expect(await failureOf(mtls.client(protocol, undefined).listFiles({}))).toMatchObject({
          reason: 'GATEWAY_UNTRUSTED',
        });
      },
    );

    test.each(['/metrics', '/readyz', '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'])(
      'does not pass %s on',
      async (path) => {
        for (const origin of Object.values(origins)) {
          const status = await new Promise((resolve, reject) => {
            const auth = `${people.ada}:${PASSWORD}`;
            const request = get(
              `${origin}${path}`,
              { ca: publicCa, lookup, auth, agent: false },
              (response) => {
                response.resume();
                resolve(response.statusCode);
              },
            );
            request.on('error', reject);
          });
          expect(status).toBe(404);
        }
      },
    );
  },
);

/** Resolves every name to this machine. */
const lookup: LookupFunction = (_, options, found) => {
  if (options.all) found(null, [{ address: '127.0.0.1', family: 4 }]);
  else found(null, '127.0.0.1', 4);
};
