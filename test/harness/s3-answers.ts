import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** An answer of S3: `status` and XML. */
export interface S3Answer {
  status: number;
  body: string;
}

/** Sees the query of a listing and the answer of the server, and returns the answer that the client gets. */
export type ChangeAnswer = (query: URLSearchParams, answer: S3Answer) => S3Answer;

interface ChangingS3 extends AsyncDisposable {
  readonly endpoint: string;
}

/**
 * A proxy in front of a store that changes the answers of listings (`GET /bucket?…`), as a buggy or hostile
 * server does. It passes on everything else.
 */
export async function changeListings(target: string, change: ChangeAnswer): Promise<ChangingS3> {
  const server = createServer((incoming, outgoing) => void pass(target, change, incoming, outgoing));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function pass(
  target: string,
  change: ChangeAnswer,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const url = new URL(incoming.url ?? '', target);
  // The Host header stays, because it is signed.
  const forwarded = request(url, { method: incoming.method, headers: incoming.headers });
  forwarded.on('error', () => outgoing.destroy());
  incoming.pipe(forwarded);
  const [response] = (await once(forwarded, 'response')) as [IncomingMessage];
  const { statusCode: status = 502, headers } = response;
  const isListing = incoming.method === 'GET' && !/^\/[^/]+\/./.test(url.pathname);
  if (!isListing) {
    outgoing.writeHead(status, headers);
    response.pipe(outgoing);
    return;
  }
  const changed = change(url.searchParams, { status, body: await text(response) });
  outgoing.writeHead(changed.status, {
    'content-type': 'application/xml',
    'content-length': Buffer.byteLength(changed.body),
  });
  outgoing.end(changed.body);
}
