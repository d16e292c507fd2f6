/**
 * Cancels a statement whose answer the service no longer waits for. Without a cancel, such a statement goes on: a
 * commit that waits for a synchronous standby does not notice that its client has gone, and no time-out of Postgres
 * ends the wait. Each of these commits keeps a connection of Postgres occupied. After 18 s of writes, 43 connections
 * were occupied in this way.
 *
 * `Client.cancel` of `pg` is not used. It sends the secret key of the connection without TLS. It also does not handle
 * the event `error`, so this process would end if the server refuses the connection.
 */
import { isIP, type Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';

/**
 * The maximum time for one cancel request. Postgres takes the request at once, and a pooler takes it as soon as the
 * pooler has a connection for it.
 */
const CANCEL_TIMEOUT_MS = 1_000;

/**
 * Fields and methods that the published types of `pg.ClientBase` and `pg.Connection` lack. All of them except
 * `sslNegotiation`, which is newer, have been the same since `pg` 8.0.
 */
type ConnectedClient = {
  readonly processID: number | null;
  readonly secretKey: number | null;
  /** A name or an address, or the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly ssl: boolean | ConnectionOptions;
  readonly sslNegotiation?: 'postgres' | 'direct';
  readonly connection: { readonly stream: Socket };
};
type Address = Pick<ConnectedClient, 'host' | 'port' | 'connection'>;
type CancelConnection = pg.Connection & {
  connect(...target: [path: string] | [port: number, host: string]): void;
  requestSsl(): void;
  cancel(processID: number, secretKey: number): void;
};

/**
 * Asks Postgres, or the pooler in front of it, to cancel the statement that runs on this connection. Resolves when
 * the server has taken the request, when the server cannot be reached, or after CANCEL_TIMEOUT_MS.
 *
 * The request names the connection and not the statement, and Postgres may act on it a moment later. So the caller must
 * send no other statement on the connection, and must close the connection afterwards. The caller must not close it
 * earlier, because a pooler forgets the key of a client that has gone, and then cannot cancel the statement.
 */
export function cancelStatement(client: pg.ClientBase): Promise<void> {
  const { processID, secretKey, ssl, sslNegotiation, ...address } = client as unknown as ConnectedClient;
  if (processID === null || secretKey === null) return Promise.resolve();
  return new Promise((resolve) => {
    const tls = ssl && tlsFor(ssl, address.host);
    const options = { ssl: tls, sslNegotiation } as pg.ConnectionConfig;
    const connection = new pg.Connection(options) as CancelConnection;
    const send = () => connection.cancel(processID, secretKey);
    const end = () => {
      clearTimeout(timer);
      connection.stream.destroy();
      resolve();
    };
    const timer = setTimeout(end, CANCEL_TIMEOUT_MS);
    if (!tls) connection.on('connect', send);
    else if (sslNegotiation !== 'direct') connection.on('connect', () => connection.requestSsl());
    connection.on('sslconnect', send);
    // The server closes the connection when it has taken the request.
    connection.on('error', end).on('end', end);
    connection.connect(...targetOf(address));
  });
}

/**
 * Returns the address of the server that runs the statement, because no other server can cancel it. The name of the
 * server is not enough: it may have several addresses, and after a failover it leads to another server.
 */
function targetOf({ host, port, connection }: Address): [string] | [number, string] {
  if (host.startsWith('/')) return [`${host}/.s.PGSQL.${port}`];
  const { remoteAddress = host, remotePort = port } = connection.stream;
  return [remotePort, remoteAddress];
}

/**
 * Returns the TLS options. The cancel request goes to the address of the server, and the certificate has its name. So
 * `servername` tells TLS to check the certificate against the name.
 */
function tlsFor(ssl: true | ConnectionOptions, host: string): ConnectionOptions {
  const given = ssl === true ? {} : ssl;
  return {
    ...given,
    // `pg` has made the private key not enumerable, so the spread above does not copy it.
    ...(given.key !== undefined && { key: given.key }),
    ...(isIP(host) === 0 && { servername: host }),
  };
}
