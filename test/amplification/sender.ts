import { type ClientRequest, type IncomingMessage, request as requestHttp1 } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from 'node:http2';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, answerOf, CLOSED } from './answer.ts';
import type { RawRequest } from './request.ts';

/**
 * A whole request, or a request without its end: over HTTP/2 END_STREAM is missing, over HTTP/1.1 the last
 * byte.
 */
export type Extent = 'whole' | 'half open';

/** A client that sends raw requests and counts the bytes that it sends. */
export interface Sender extends Disposable {
  /** Resolves with the first answer. A refusal, or a closed stream, may come before the request has ended. */
  send(request: RawRequest, extent: Extent): Promise<Answer>;
  /** The bytes that have left this process, including frames and headers. */
  wireBytes(): number;
}

export function openSender(ports: Record<RawRequest['port'], number>): Sender {
  const sockets = new Set<Socket>();
  const sessions = new Map<number, ClientHttp2Session>();
  const streams = new Set<ClientHttp2Stream>();
  const requests = new Set<ClientRequest>();

  function sessionOf(port: number): ClientHttp2Session {
    const known = sessions.get(port);
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const session = connectHttp2(`http://127.0.0.1:${port}`, {
      createConnection: () => {
        const socket = connect(port, '127.0.0.1');
        sockets.add(socket);
        return socket;
      },
      // In MB. Node also counts bytes that are still to be sent.
      maxSessionMemory: 1_000,
      // Large windows, so that the client reads answers as they arrive.
      settings: { initialWindowSize: 2 ** 24 },
    });
    session.on('error', () => {}).on('connect', () => session.setLocalWindowSize(2 ** 24));
    sessions.set(port, session);
    return session;
  }

  return {
    send({ port, httpVersion, method = 'POST', path, headers, body, isEndless }, extent) {
      if (httpVersion === 2) {
        try {
          const stream = sessionOf(ports[port]).request(
            { ':method': method, ':path': path, ...headers },
            { endStream: false },
          );
          streams.add(stream);
          stream.once('close', () => streams.delete(stream));
          if (extent === 'whole') stream.end(body);
          else stream.write(body);
          return answerOfStream(stream, isEndless);
        } catch {
          // The session was closed between the check in `sessionOf` and the request.
          return Promise.resolve(CLOSED);
        }
      }
      const request = requestHttp1({
        host: '127.0.0.1',
        port: ports[port],
        method,
        path,
        headers: { connection: 'close', ...headers, 'content-length': `${Math.max(1, body.length)}` },
        agent: false,
      });
      requests.add(request);
      request.once('socket', (socket) => sockets.add(socket));
      request.once('close', () => requests.delete(request));
      if (extent === 'whole') request.end(body.length === 0 ? ' ' : body);
      else if (body.length <= 1) request.flushHeaders();
      else request.write(body.subarray(0, -1));
      return answerOfRequest(request);
    },
    wireBytes: () => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    [Symbol.dispose]() {
      for (const session of sessions.values()) session.destroy();
      for (const request of requests) request.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const POLL_MS = 10;

/** Waits until the senders send nothing more: all bytes were sent, or the service reads no more of them. */
export async function settled(senders: readonly Sender[], timeoutMs = 3_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  const sent = () => senders.reduce((sum, sender) => sum + sender.wireBytes(), 0);
  for (let before = -1, quiet = 0; quiet < 2 && performance.now() < deadline; ) {
    const now = sent();
    quiet = now === before ? quiet + 1 : 0;
    before = now;
    await sleep(POLL_MS);
  }
}

function answerOfStream(stream: ClientHttp2Stream, isEndless: boolean): Promise<Answer> {
  return new Promise((resolve) => {
    let fields: Record<string, unknown> = {};
    const parts: Buffer[] = [];
    const done = () => {
      resolve(answerOf(fields, Buffer.concat(parts)));
      if (isEndless) stream.close(constants.NGHTTP2_CANCEL);
    };
    const note = (more: Record<string, unknown>) => {
      fields = { ...fields, ...more };
    };
    stream
      .on('response', note)
      .on('trailers', note)
      .on('error', () => {});
    stream.on('data', (part: Buffer) => {
      parts.push(part);
      if (isEndless) done();
    });
    stream.once('end', done).once('close', done);
  });
}

function answerOfRequest(request: ClientRequest): Promise<Answer> {
  return new Promise((resolve) => {
    request.on('error', () => {}).once('close', () => resolve(CLOSED));
    request.once('response', (response: IncomingMessage) => {
      const parts: Buffer[] = [];
      const done = () =>
        resolve(answerOf({ ':status': response.statusCode, ...response.headers }, Buffer.concat(parts)));
      response.on('data', (part: Buffer) => parts.push(part));
      response.once('end', done).on('error', done).once('close', done);
    });
  });
}
