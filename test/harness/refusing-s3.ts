import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { passOn } from './pass-on.ts';

export interface RefusedRequest {
  method: string;
  /** The decoded path, `/bucket/key`. */
  path: string;
  query: URLSearchParams;
}

/** An answer of S3 that refuses a request. */
export interface RefusingAnswer {
  status: number;
  code: string;
  headers?: Record<string, string>;
}

export interface RefusingS3 extends AsyncDisposable {
  readonly endpoint: string;
  /** All requests since the start, or since the test emptied the list. */
  requests: RefusedRequest[];
  /** Decides about each request. `undefined` passes the request on to the store, a promise only when it resolves. */
  refuse: (request: RefusedRequest) => RefusingAnswer | undefined | Promise<RefusingAnswer | undefined>;
}

/**
 * A proxy in front of an object store. It refuses requests as S3 does: the answer to a HEAD has no body, so it has no
 * error code.
 */
export async function startRefusingS3(target: string): Promise<RefusingS3> {
  const server = createServer(async (incoming, outgoing) => {
    const url = new URL(incoming.url ?? '', target);
    const { method = '' } = incoming;
    const request = { method, path: decodeURIComponent(url.pathname), query: url.searchParams };
    proxy.requests.push(request);
    const answer = await proxy.refuse(request);
    if (answer === undefined) return passOn(target, incoming, outgoing);
    incoming.resume();
    const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${answer.code}</Code><Message>no</Message></Error>`;
    outgoing.writeHead(answer.status, { 'content-type': 'application/xml', ...answer.headers });
    outgoing.end(method === 'HEAD' ? undefined : body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: RefusingS3 = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    refuse: () => undefined,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return proxy;
}
