import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { ListFilesResponseSchema } from '../../../gen/files/v1/file_service_pb.ts';
import { connect } from '../../../src/cli/upload/connect.ts';
import { endlessServer } from '../../harness/endless-server.ts';

const MAX_BYTES = 4 * 1024 ** 2;

const clientOf = (url: string) => connect({ url, userIdHeader: 'x-user-id', gatewayToken: undefined }, 'ada');

/** A server that answers each call as `answer` says, and the requests that it got. */
async function serverThat(answer: (response: ServerResponse) => void) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume();
    answer(response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    files: clientOf(url),
    requests,
    arrived: () => once(server, 'request'),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function closed(request: IncomingMessage | undefined): Promise<void> {
  if (request === undefined) throw new Error('no request has arrived');
  // `once` would reject if the client has reset the connection.
  if (!request.socket.destroyed) await new Promise((resolve) => request.socket.once('close', resolve));
}

const silent = () => undefined;
const begins = (response: ServerResponse) => {
  response.writeHead(200, { 'content-type': 'application/proto' }).write('a');
};

/** An answer with exactly this many bytes. */
function answerOf(bytes: number): Uint8Array {
  // A field of this length has one byte for its number and four for its length.
  const message = create(ListFilesResponseSchema, { nextPageToken: 'x'.repeat(bytes - 5) });
  return toBinary(ListFilesResponseSchema, message);
}
const answersWith = (bytes: Uint8Array) => (response: ServerResponse) => {
  response.writeHead(200, { 'content-type': 'application/proto' }).end(bytes);
};

describe('the transport of npm run upload', () => {
  it('reads an answer of 4 MiB, and refuses one that is a byte longer', async () => {
    const largest = answerOf(MAX_BYTES);
    expect(largest).toHaveLength(MAX_BYTES);
    await using accepted = await serverThat(answersWith(largest));
    expect((await accepted.files.listFiles({})).nextPageToken).toHaveLength(MAX_BYTES - 5);
    await using refused = await serverThat(answersWith(answerOf(MAX_BYTES + 1)));
    await expect(refused.files.listFiles({})).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });

  it('sends the user, the token of the gateway and the protocol with each call', async () => {
    await using server = await serverThat(answersWith(answerOf(1_000)));
    const { url } = server;
    const call = (gatewayToken: string | undefined) =>
      connect({ url, userIdHeader: 'x-account', gatewayToken }, 'ada').listFiles({});
    await call('a token');
    await call(undefined);
    const [trusted, plain] = server.requests.map(({ headers }) => headers);
    const common = {
      'x-account': 'ada',
      'content-type': 'application/proto',
      'connect-protocol-version': '1',
    };
    expect(trusted).toMatchObject({ ...common, 'x-gateway-token': 'a token' });
    expect(plain).toMatchObject(common);
    expect(plain).not.toHaveProperty('x-gateway-token');
    expect(plain).not.toHaveProperty('x-user-id');
  });

  it('ends the connection of an answer without end', async () => {
    await using server = await endlessServer(200, 'application/proto');
    await expect(clientOf(server.url).listFiles({})).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });

  it.each([
    ['no answer', silent],
    ['no end of the answer', begins],
  ])('ends the call at its deadline if there is %s, and closes the connection', async (_, answer) => {
    await using server = await serverThat(answer);
    const call = server.files.listFiles({}, { timeoutMs: 200 });
    await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    const [request] = server.requests;
    expect(request?.headers['connect-timeout-ms']).toBe('200');
    await closed(request);
  });

  it.each([
    ['an answer', silent],
    ['the end of the answer', begins],
  ])('ends the call at an abort before %s, and closes the connection', async (_, answer) => {
    await using server = await serverThat(answer);
    const aborted = new AbortController();
    const arrived = server.arrived();
    const call = server.files.listFiles({}, { signal: aborted.signal, timeoutMs: 60_000 });
    void arrived.then(() => aborted.abort(new Error('the user stops')));
    await expect(call).rejects.toMatchObject({ code: Code.Canceled, rawMessage: 'the user stops' });
    const [request] = server.requests;
    await closed(request);
  });

  it('sends nothing if the call was aborted before', async () => {
    await using server = await serverThat(silent);
    const call = server.files.listFiles({}, { signal: AbortSignal.abort() });
    await expect(call).rejects.toMatchObject({ code: Code.Canceled });
    expect(server.requests).toEqual([]);
  });

  it('ends with Unavailable if nothing listens', async () => {
    const files = clientOf('http://127.0.0.1:1');
    await expect(files.listFiles({})).rejects.toMatchObject({ code: Code.Unavailable });
  });

  it.each<[number, string, string, Code]>([
    [200, 'text/html', '<p>', Code.Unknown],
    [503, 'text/html', '<p>', Code.Unavailable],
    [404, 'application/json', '{"code":"not_found","message":"no file"}', Code.NotFound],
    [404, 'Application/JSON; charset=utf-8', '{"code":"not_found","message":"no file"}', Code.NotFound],
    [500, 'application/json', 'no JSON', Code.Unknown],
  ])('turns an answer with %i %s %s into the code %i', async (status, type, body, code) => {
    await using server = await serverThat((response) => {
      response.writeHead(status, { 'content-type': type }).end(body);
    });
    await expect(server.files.listFiles({})).rejects.toMatchObject({ code });
  });
});
