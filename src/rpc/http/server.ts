/**
 * `src/rpc/http/` is the HTTP server for Connect, gRPC-Web, gRPC, reflection and the pages (`/livez`, `/readyz`,
 * `/metrics`), over HTTP/1.1 and HTTP/2 on one port (`http1-and-http2.ts`). Calls are handed to connect-node
 * after the call gate (`../call-gate.ts`) has admitted them (`connect-handler.ts`).
 *
 * The content of the pages belongs to `src/server/`, bounds belong to `src/rpc/limits/`.
 */

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { ServiceImpl } from '@connectrpc/connect';
import type { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { isLoopbackAuthority } from '../../config/loopback.ts';
import type { SharedCapacity } from '../../overload/shared-capacity.ts';
import type { CallGate } from '../call-gate.ts';
import { authorityOf } from '../caller.ts';
import type { Health } from '../health.ts';
import { limitChunks } from '../limits/arrival.ts';
import type { TakeDecodeTurn } from '../limits/decode-turns.ts';
import { HEADERS_MAX_COUNT, UNPROVEN_REQUESTS_MAX } from '../limits/limits.ts';
import { refusePipelining } from '../limits/pipelined-requests.ts';
import { limitUnprovenRequests } from '../limits/unproven-requests.ts';
import { dropBody } from '../memory/unused-buffers.ts';
import type { Certificates } from '../tls/tls.ts';
import { socketOf } from './admit.ts';
import { type ConnectHandler, createConnectHandler } from './connect-handler.ts';
import { createCors } from './cors.ts';
import { createHttp1AndHttp2Server } from './http1-and-http2.ts';
import { createJsonEndpoints, type JsonEndpointsOptions } from './json-endpoint/json-endpoint.ts';
import { createRequestsUnderWay } from './requests-under-way.ts';

/**
 * The check of the host name protects against DNS rebinding: the owner of a web page can let the name of the
 * page resolve to 127.0.0.1. Without the check, the page could then read any user's files. The gRPC port
 * needs no such check. No page can speak HTTP/2 without TLS, and gRPC clients may call a service by any
 * authority.
 */
const LOOPBACK_NAMES_ONLY =
  'with GATEWAY_AUTH=none the service takes requests by a loopback name only: localhost, 127.0.0.1 or [::1]';

/** A page for orchestrators (health) or scrapers (metrics), served for GET and HEAD. */
export type Page = () => Promise<{ status: number; contentType: string; body: string | Buffer }>;

interface HttpServerOptions {
  fileService: ServiceImpl<typeof FileService>;
  gate: CallGate;
  health: Health;
  budget: SharedCapacity;
  takeDecodeTurn: TakeDecodeTurn;
  pages: Record<string, Page>;
  endpoints: JsonEndpointsOptions['endpoints'];
  /**
   * True for GATEWAY_AUTH=none, with which every caller may name any user (`../identity.ts`). The server then refuses
   * requests with a host name other than a loopback name.
   */
  loopbackOnly: boolean;
  /** The origins of pages that may call the service; empty for no CORS. */
  corsAllowedOrigins: readonly string[];
  certificates?: Certificates | undefined;
}

/**
 * Creates the server for Connect (JSON and binary), gRPC-Web, gRPC, reflection, and the pages `/livez`, `/readyz` and
 * `/metrics`.
 */
export function createHttpServer(options: HttpServerOptions) {
  const underWay = createRequestsUnderWay();
  const isPipelined = refusePipelining();
  const { server, connections, closeConnections, destroyConnections } = createHttp1AndHttp2Server(
    (request, response) => {
      // An error of the request needs no handling of its own. The response closes after an error, and every
      // cleanup listens for the `close` of the response.
      request.on('error', () => undefined);
      if (isClosed(request) || isPipelined(request, response)) return;
      limitChunks(request);
      underWay.add(request, response);
      const socket = socketOf(request);
      const countNoMore = noteUnproven(response, socket && connections.of(socket));
      if (countNoMore === undefined) return;
      const refusal = refusalOf(options, request);
      const page = pages.get((request.url ?? '').split('?', 1)[0] ?? '');
      if (refusal !== undefined) refuse(response, ...refusal);
      else if (page !== undefined) void servePage(page, request, response);
      else if (!takeMessage(request, response, countNoMore) && !isPreflight(request, response))
        answer(serveCall, request, response, countNoMore);
      if (page !== undefined || response.writableEnded) dropBody(request);
    },
    options.certificates,
  );
  const noteUnproven = limitUnprovenRequests<ServerResponse>({
    connections,
    openMax: UNPROVEN_REQUESTS_MAX,
    abort: underWay.abort,
  });
  const serveCall = createConnectHandler({ ...options, connections });
  const takeMessage = createJsonEndpoints(options);
  const isPreflight = createCors(options.corsAllowedOrigins);
  const pages = new Map(Object.entries(options.pages));

  return {
    /** @param port 0 for any free port @returns the port @throws when the port is in use */
    async listen(host: string, port: number): Promise<number> {
      server.listen(port, host);
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    },

    /** Continues to serve, but each HTTP/1.1 response asks its client to close the connection. */
    announceStop: underWay.announceStop,

    /** Accepts no new calls and waits for the calls under way, but aborts them after `graceMs`. */
    async stop(graceMs: number): Promise<void> {
      if (!server.listening) return;
      const closed = once(server, 'close');
      underWay.stop(closeConnections);
      server.close();
      closeConnections();
      const force = setTimeout(destroyConnections, graceMs);
      await closed;
      clearTimeout(force);
    },
  };
}

/** @returns status and text of the answer if the headers are a reason to refuse the request; else `undefined` */
function refusalOf(
  { loopbackOnly }: HttpServerOptions,
  { headers, rawHeaders }: IncomingMessage,
): [status: number, text: string] | undefined {
  if (loopbackOnly && !isLoopbackAuthority(authorityOf(headers))) return [421, LOOPBACK_NAMES_ONLY];
  if (rawHeaders.length > 2 * HEADERS_MAX_COUNT) return [431, 'too many headers'];
  const { expect = '100-continue' } = headers;
  if (expect.toLowerCase() !== '100-continue')
    return [417, 'the service knows no expectation but 100-continue'];
  return undefined;
}

function answer(
  serveCall: ConnectHandler,
  request: IncomingMessage,
  response: ServerResponse,
  countNoMore: () => void,
): void {
  try {
    if (!serveCall(request, response, countNoMore))
      refuse(response, 404, 'no page and no method has this path');
  } catch {
    // `serveCall` throws if the path and the authority do not form a URL. Without this catch, one request with
    // the Host `a:99999` would end the process.
    refuse(response, 400, 'Host and path do not form a URL');
  }
}

/** Whether the stream is closed already. Node still emits streams that it had read before their connection closed. */
function isClosed(request: IncomingMessage | Http2ServerRequest): boolean {
  return 'stream' in request && request.stream.destroyed;
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`);
}

async function servePage(page: Page, { method }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return;
  }
  const { status, contentType, body } = await page();
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(method === 'HEAD' ? undefined : body);
}
