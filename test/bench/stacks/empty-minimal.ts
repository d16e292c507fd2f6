/** A bare node:http2 stream server that answers every call with an empty message. */
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tellServing } from './environment.ts';

const EMPTY_MESSAGE = Buffer.alloc(5);

const server = createServer({ settings: { maxConcurrentStreams: 1_000 } });
server.on('stream', (stream) => {
  stream.resume();
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(EMPTY_MESSAGE);
  });
});
server.listen(0, '127.0.0.1', () => tellServing((server.address() as AddressInfo).port));
process.once('SIGTERM', () => process.exit());
