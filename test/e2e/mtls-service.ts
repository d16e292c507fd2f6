import { type Client, createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { type Authority, createAuthority, type Pair } from '../harness/certificates.ts';
import { externalServers } from '../harness/external-servers.ts';
import { sendHeaders } from '../harness/headers.ts';
import { type MountedSecret, mountSecret } from '../harness/mounted-secret.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

export const GATEWAY_DNS = 'gateway.internal';
export const GATEWAY_URI = 'spiffe://files.test/ns/edge/sa/gateway';

export const TLS_PROTOCOLS = ['gRPC', 'Connect over HTTP/1.1', 'Connect over h2', 'gRPC-Web'] as const;
type TlsProtocol = (typeof TLS_PROTOCOLS)[number];

/** The certificate that a client shows to the service. `undefined` shows none. */
export type Shown = Pair | undefined;

export interface MtlsService extends AsyncDisposable {
  service: ServiceProcess;
  /** Signed the certificate of the service. */
  serverAuthority: Authority;
  /** Signs the certificates of gateways. */
  gatewayAuthority: Authority;
  secret: MountedSecret;
  /** The https origins of both ports. */
  origins: { grpc: string; http: string };
  /** Each client has its own connections, so that no client uses the certificate of another. */
  client(protocol: TlsProtocol, shown: Shown): Client<typeof FileService>;
  transport(protocol: TlsProtocol, shown: Shown): Transport;
}

export const FILES = { cert: 'tls.crt', key: 'tls.key', ca: 'ca.crt' };

export async function serverPair(authority: Authority): Promise<Pair> {
  return authority.issue({ names: ['127.0.0.1', 'files.internal'], use: 'server' });
}

/**
 * Starts the service with mTLS, its own database and bucket, and certificates that are mounted as a secret.
 */
export async function startMtlsService(): Promise<MtlsService> {
  await using starting = new AsyncDisposableStack();
  const servers = starting.use(await externalServers());
  const directory = starting.use(await temporaryDirectory());
  const [serverAuthority, gatewayAuthority] = await Promise.all([createAuthority(), createAuthority()]);
  const { cert, key } = await serverPair(serverAuthority);
  const secret = await mountSecret(directory.path, {
    [FILES.cert]: cert,
    [FILES.key]: key,
    [FILES.ca]: gatewayAuthority.cert,
  });
  const service = starting.use(
    await startService({
      environment: {
        ...servers.environment,
        MIGRATE_ON_START: 'true',
        GATEWAY_AUTH: 'mtls',
        TLS_CERT_FILE: secret.path(FILES.cert),
        TLS_KEY_FILE: secret.path(FILES.key),
        TLS_CLIENT_CA_FILE: secret.path(FILES.ca),
        TLS_ALLOWED_SANS: `${GATEWAY_DNS}, ${GATEWAY_URI}`,
      },
    }),
  );
  const origins = { grpc: `https://${service.grpc}`, http: service.http.replace('http:', 'https:') };

  const transport = (protocol: TlsProtocol, shown: Shown): Transport => {
    const nodeOptions = { ca: serverAuthority.cert, ...shown };
    const interceptors = [sendHeaders({ 'x-user-id': 'ada' })];
    switch (protocol) {
      case 'gRPC':
        return createGrpcTransport({ baseUrl: origins.grpc, nodeOptions, interceptors });
      case 'Connect over HTTP/1.1':
        return createConnectTransport({
          baseUrl: origins.http,
          httpVersion: '1.1',
          nodeOptions,
          interceptors,
        });
      case 'Connect over h2':
        return createConnectTransport({ baseUrl: origins.http, httpVersion: '2', nodeOptions, interceptors });
      case 'gRPC-Web':
        return createGrpcWebTransport({ baseUrl: origins.http, httpVersion: '2', nodeOptions, interceptors });
    }
  };
  const started = starting.move();
  return {
    service,
    serverAuthority,
    gatewayAuthority,
    secret,
    origins,
    transport,
    client: (protocol, shown) => createClient(FileService, transport(protocol, shown)),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
