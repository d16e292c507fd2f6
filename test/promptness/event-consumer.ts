import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

/** A consumer of events over HTTP that notes when it has acknowledged the READY event of each file. */
interface EventConsumer extends AsyncDisposable {
  readonly url: string;
  /** Resolves with the time by `performance.now()`. */
  ready(s3Key: string): Promise<number>;
}

export async function startEventConsumer(): Promise<EventConsumer> {
  const files = new Map<string, PromiseWithResolvers<number>>();
  const of = (s3Key: string) => {
    const known = files.get(s3Key) ?? Promise.withResolvers<number>();
    files.set(s3Key, known);
    return known;
  };
  const server = createServer(async (request, response) => {
    const { change, file } = (await json(request)) as { change: string; file: { s3Key: string } };
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}', () => {
      if (change === 'FILE_CHANGE_READY') of(file.s3Key).resolve(performance.now());
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`,
    ready: (s3Key) => of(s3Key).promise,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
