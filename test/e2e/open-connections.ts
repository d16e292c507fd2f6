import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import {
  connectivityState,
  credentials,
  makeGenericClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import type { ServiceProcess } from '../harness/service-process.ts';

/** A connection of a client that stays open until the service closes it. */
interface OpenConnection extends Disposable {
  /** Resolves when the service has closed the connection. */
  readonly ended: Promise<unknown>;
}

type Address = Pick<ServiceProcess, 'grpc' | 'http'>;

export async function idleHttp1({ http }: Address): Promise<OpenConnection> {
  const agent = new Agent({ keepAlive: true });
  const request = get(`${http}/livez`, { agent });
  const [response] = await once(request, 'response');
  await response.resume().toArray();
  const { socket } = request;
  if (socket === null || socket.destroyed) throw new Error('the connection was not kept');
  return { ended: once(socket, 'close'), [Symbol.dispose]: () => agent.destroy() };
}

export async function idleHttp2({ http }: Address): Promise<OpenConnection> {
  const session = connectHttp2(http);
  const stream = session.request({ ':path': '/livez' });
  const [headers] = await once(stream, 'response');
  if (headers[':status'] !== 200) throw new Error(`/livez: ${headers[':status']}`);
  await stream.resume().toArray();
  return { ended: once(session, 'close'), [Symbol.dispose]: () => session.destroy() };
}

/** A connection to the HTTP port that never sends a byte. */
export async function silent({ http }: Address): Promise<OpenConnection> {
  const { hostname, port } = new URL(http);
  const socket = connectTcp(Number(port), hostname);
  await once(socket, 'connect');
  socket.resume();
  return { ended: once(socket, 'close'), [Symbol.dispose]: () => socket.destroy() };
}

interface HeldCall extends OpenConnection {
  /** Sends the rest of the body, so that the service can answer. */
  finish(): void;
  readonly answer: { text: string };
}

/** Starts a call and sends only a part of its body. The call runs until `finish`. */
export async function heldCall({ http }: Address): Promise<HeldCall> {
  const { hostname, port } = new URL(http);
  const socket = connectTcp(Number(port), hostname);
  await once(socket, 'connect');
  const answer = { text: '' };
  socket.setEncoding('utf8').on('data', (text) => {
    answer.text += text;
  });
  socket.write(
    'POST /files.v1.FileService/ListFiles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
      'X-User-Id: ada\r\nContent-Length: 2\r\n\r\n{',
  );
  // A reset connection counts as closed.
  const ended = once(socket, 'close').catch(() => {});
  return { ended, answer, finish: () => socket.write('}'), [Symbol.dispose]: () => socket.destroy() };
}

/** A reflection stream on the HTTP port. grpcui and other tools leave such a stream open. */
export async function reflectionStream({ http }: Address): Promise<OpenConnection> {
  const session = connectHttp2(http);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  // list_services = ""
  stream.on('error', () => {}).write(Buffer.from([0, 0, 0, 0, 2, 0x3a, 0]));
  await once(stream, 'data');
  return { ended: once(session, 'close'), [Symbol.dispose]: () => session.destroy() };
}

const HealthClient = makeGenericClientConstructor(healthService, 'grpc.health.v1.Health');

export async function idleGrpc({ grpc }: Address): Promise<OpenConnection> {
  const client = new HealthClient(grpc, credentials.createInsecure());
  const answer = await new Promise((resolve, reject) => {
    client.check?.({ service: '' }, (error: ServiceError | null, status: unknown) =>
      error ? reject(error) : resolve(status),
    );
  });
  if ((answer as { status: string }).status !== 'SERVING')
    throw new Error(`health: ${JSON.stringify(answer)}`);
  const ended = new Promise((resolve) => {
    client.getChannel().watchConnectivityState(connectivityState.READY, Number.POSITIVE_INFINITY, resolve);
  });
  return { ended, [Symbol.dispose]: () => client.close() };
}

interface HealthWatch extends OpenConnection {
  /** All statuses so far. */
  readonly statuses: string[];
}

/** A health watch as load balancers and Kubernetes' gRPC clients use it: open as long as the connection. */
export async function healthWatch({ grpc }: Address): Promise<HealthWatch> {
  const client = new HealthClient(grpc, credentials.createInsecure());
  const call = client.watch?.({ service: '' });
  if (call === undefined) throw new Error('there is no watch');
  const statuses: string[] = [];
  call.on('data', ({ status }: { status: string }) => statuses.push(status));
  const ended = new Promise((resolve) => {
    call.on('error', (error: ServiceError) => resolve(error.code));
  });
  await once(call, 'data');
  return { statuses, ended, [Symbol.dispose]: () => client.close() };
}

/** A connection to the gRPC port that never sends a byte. */
export const silentGrpc = ({ grpc }: Address) => silent({ grpc, http: `http://${grpc}` });
