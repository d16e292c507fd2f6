import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { passOn } from './pass-on.ts';

/** The failures of S3 itself, not of the network, with S3's own error codes. */
export type S3Fault = 'none' | 'InternalError' | 'SlowDown' | '200 with an error body';

interface FaultyS3 extends AsyncDisposable {
  readonly port: number;
  fault: S3Fault;
}

const STATUS = { InternalError: 500, SlowDown: 503, '200 with an error body': 200 };

/**
 * A proxy in front of a store. It forwards each request unchanged, with its signature, or answers with the
 * fault.
 */
export async function startFaultyS3(port: number): Promise<FaultyS3> {
  const faulty = { fault: 'none' as S3Fault };
  const server = createServer((incoming, outgoing) => {
    const { fault } = faulty;
    if (fault === 'none') return passOn(`http://127.0.0.1:${port}`, incoming, outgoing);
    const code = fault === '200 with an error body' ? 'InternalError' : fault;
    const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>please retry</Message></Error>`;
    incoming.resume();
    outgoing.writeHead(STATUS[fault], {
      'content-type': 'application/xml',
      'content-length': Buffer.byteLength(body),
    });
    outgoing.end(incoming.method === 'HEAD' ? undefined : body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(faulty, {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  });
}
