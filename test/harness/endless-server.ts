import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const PART_BYTES = 64 * 1024;

/** A server whose answers have no end. */
export async function endlessServer(status: number, contentType: string) {
  const part = Buffer.alloc(PART_BYTES, ' ');
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': contentType });
    const more = () => {
      while (!response.destroyed && response.write(part));
    };
    response.on('drain', more);
    more();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose](): Promise<void> {
      server.closeAllConnections();
      server.close();
    },
  };
}
