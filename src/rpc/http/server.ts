import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { ServiceImpl } from '@connectrpc/connect';
import type { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { isLoopbackAuthority } from '../../config/loopback.ts';
import type { CallGate } from '../call-gate.ts';
import { authorityOf } from '../caller.ts';
import { HEADERS_MAX_COUNT, PIPELINED_REQUESTS_MAX, UNPROVEN_REQUESTS_MAX } from '../limits/limits.ts';
import type { MessageBudget } from '../limits/message-limits.ts';
import { refusePipelining } from '../limits/pipelined-requests.ts';
import { limitUnprovenRequests } from '../limits/unproven-requests.ts';
import type { Certificates } from '../tls/tls.ts';
import { createConnectHandler } from './connect-handler.ts';
import { createHttp1AndHttp2Server } from './http1-and-http2.ts';

/**
 * Without any other proof the service listens on loopback alone, and a request that was sent there by another name was
 * not meant for it: a web page whose own name has just been resolved to 127.0.0.1 (DNS rebinding) would read any user's
 * files. Browsers reach this port only: no page can speak gRPC's HTTP/2 without TLS, and clients of gRPC may call a
 * service by any authority.
 */
const LOOPBACK_NAMES_ONLY =
  'with GATEWAY_AUTH=none the service takes requests by a loopback name only: localhost, 127.0.0.1 or [::1]';

export interface HttpServer {
  /** The port, where 0 was asked for. @throws when the port is taken */
  listen(host: string, port: number): Promise<number>;
  /** Goes on as before, but asks clients of HTTP/1.1 with each answer to make their next call elsewhere. */
  announceStop(): void;
  /** Takes no new calls and waits for those under way; ends them after the time given. */
  stop(graceMs: number): Promise<void>;
}

/** A plain page beside the calls, as an orchestrator or a scraper asks for it. */
export type Page = () => Promise<{ status: number; contentType: string; body: string }>;

export interface HttpServerOptions {
  fileService: ServiceImpl<typeof FileService>;
  gate: CallGate;
  budget: MessageBudget;
  pages: Record<string, Page>;
  /** Refuses requests by any other host name: there is no proof but that they come from this machine. */
  loopbackOnly: boolean;
  certificates?: Certificates | undefined;
}

/** Connect (JSON and binary) and gRPC-Web, with reflection, and the pages. */
export function createHttpServer({
  pages,
  loopbackOnly,
  certificates,
  ...options
}: HttpServerOptions): HttpServer {
  let announced = false;
  let stopping = false;
  const underWay = new Map<ServerResponse, IncomingMessage>();
  const isPipelined = refusePipelining(PIPELINED_REQUESTS_MAX);
  const noteUnproven = limitUnprovenRequests<ServerResponse>(UNPROVEN_REQUESTS_MAX, (response) => {
    const request = underWay.get(response);
    // A pipelined answer has no connection of its own yet.
    if (request?.httpVersionMajor === 1) request.socket.destroy();
    else response.destroy();
  });
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    // A request that breaks closes its response, which is what is listened for.
    request.on('error', () => undefined);
    if (isPipelined(request, response)) return;
    const countNoMore = noteUnproven(response);
    underWay.set(response, request);
    response.once('close', () => {
      underWay.delete(response);
      // Kept alive, its connection would hold up the stop for another five seconds.
      if (stopping) setImmediate(closeConnections);
    });
    response.once('finish', () => takeNothingMore(request));
    if (announced) askToClose(response, request);
    if (stopping) endStream(response, request);
    if (loopbackOnly && !isLoopbackAuthority(authorityOf(request.headers))) {
      refuse(response, 421, LOOPBACK_NAMES_ONLY);
      return;
    }
    if (request.rawHeaders.length > 2 * HEADERS_MAX_COUNT) {
      refuse(response, 431, 'too many headers');
      return;
    }
    try {
      if (!serveCall(request, response, countNoMore)) void servePage(pages, request, response);
    } catch {
      // connect-node makes a URL of path and authority outside of any handler: one
      // request with the Host `a:99999` would end the process.
      refuse(response, 400, 'malformed Host or path');
    }
  };
  const { server, connections, closeConnections, destroyConnections } = createHttp1AndHttp2Server(
    listener,
    certificates,
  );
  const serveCall = createConnectHandler({ ...options, connections });

  return {
    async listen(host, port) {
      server.listen(port, host);
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    },

    announceStop() {
      announced = true;
      for (const [response, request] of underWay) askToClose(response, request);
    },

    async stop(graceMs) {
      if (!server.listening) return;
      const closed = once(server, 'close');
      stopping = true;
      for (const [response, request] of underWay) endStream(response, request);
      server.close();
      closeConnections();
      const force = setTimeout(destroyConnections, graceMs);
      await closed;
      clearTimeout(force);
    },
  };
}

/** So that no client sends its next call into a connection that is being closed. HTTP/2 has GOAWAY for it. */
function askToClose(response: ServerResponse, request: IncomingMessage): void {
  if (request.httpVersionMajor === 1 && !response.headersSent) response.setHeader('connection', 'close');
}

/** An answered request needs no more of its body. Over HTTP/1.1 Node reads the rest and drops it. */
function takeNothingMore(request: IncomingMessage | Http2ServerRequest): void {
  if ('stream' in request && !request.complete) request.stream.close(constants.NGHTTP2_NO_ERROR);
}

/** A reflection stream is open for as long as its client likes. There is nothing in it to be lost. */
function endStream(response: ServerResponse, request: IncomingMessage): void {
  if (request.url?.startsWith('/grpc.reflection.')) response.destroy();
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`);
}

async function servePage(
  pages: Record<string, Page>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0] ?? '';
  const page = request.method === 'GET' && Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (page === undefined) {
    response.writeHead(404).end();
    return;
  }
  const { status, contentType, body } = await page();
  response.writeHead(status, { 'content-type': contentType }).end(body);
}
