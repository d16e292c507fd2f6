import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** Passes the messages of an S3 server on to the service, because such a server gets its URL before the service starts. */
export async function startRelay() {
  let target: string | undefined;
  const statuses: number[] = [];
  const server = createServer(async (request, response) => {
    const { url = '', method = '', headers } = request;
    const body = await text(request);
    const { authorization } = headers;
    const answer =
      target &&
      (await fetch(target + url, {
        method,
        ...(authorization && { headers: { authorization } }),
        ...(body && { body }),
      }));
    if (answer) statuses.push(answer.status);
    response.writeHead(answer ? answer.status : 204).end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    /** The statuses with which the service has answered. */
    statuses,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    passTo(url: string) {
      target = url;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
