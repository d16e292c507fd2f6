import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { MESSAGE_MAX_BYTES } from './limits.ts';

export interface HttpServer {
  /** The port, where 0 was asked for. @throws when the port is taken */
  listen(host: string, port: number): Promise<number>;
  /** Takes no new calls and waits for those under way; ends them after the time given. */
  stop(graceMs: number): Promise<void>;
}

/** A plain page beside the calls, as an orchestrator or a scraper asks for it. */
export type Page = () => Promise<{ status: number; contentType: string; body: string }>;

/** A request's headers are a user id, a token and what proxies add. Node's own default is 16 KiB too. */
const HEADERS_MAX_BYTES = 16 * 1024;

/** Connect (JSON and binary) and gRPC-Web over HTTP/1.1, and the pages. */
export function createHttpServer(
  fileService: ServiceImpl<typeof FileService>,
  pages: Record<string, Page>,
): HttpServer {
  const connect = connectNodeAdapter({
    routes: (router) => router.service(FileService, fileService),
    // gRPC proper has a port of its own, and needs HTTP/2.
    grpc: false,
    readMaxBytes: MESSAGE_MAX_BYTES,
    fallback: (request, response) =>
      void servePage(pages, request as IncomingMessage, response as ServerResponse),
  });

  const server = createServer({ maxHeaderSize: HEADERS_MAX_BYTES }, (request, response) => {
    // connect-node builds a URL from the authority outside of any handler: one
    // request with the Host `a:99999` would end the process.
    if (!URL.canParse(request.url ?? '', `http://${request.headers.host}`)) {
      response.writeHead(400, { 'content-type': 'text/plain' }).end('malformed Host or path\n');
      return;
    }
    connect(request, response);
  });

  return {
    async listen(host, port) {
      server.listen(port, host);
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    },

    async stop(graceMs) {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      const force = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(force);
    },
  };
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
