import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { passOn } from '../harness/pass-on.ts';

/** A proxy of an object store. It can answer with error texts that repeat the whole request, as S3's do at worst. */
interface ComplainingStore extends AsyncDisposable {
  readonly endpoint: string;
  /** @param status the HTTP status of all answers; 0 passes the requests on to the object store */
  complain(status: number): void;
}

/** @param secrets secrets of the service that the error texts contain beside the request's headers */
export async function startComplainingStore(
  target: string,
  secrets: readonly string[],
): Promise<ComplainingStore> {
  let status = 0;
  const server = createServer((incoming, response) => {
    if (status === 0) passOn(target, incoming, response);
    else response.writeHead(status, { 'content-type': 'application/xml' }).end(complaint(incoming, secrets));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    complain: (next) => {
      status = next;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/**
 * An error body like S3's SignatureDoesNotMatch and InvalidToken (Amazon S3 API Reference, "Error
 * responses"), with more secrets in its message.
 */
function complaint({ url, headers }: IncomingMessage, secrets: readonly string[]): string {
  const { authorization = '', 'x-amz-security-token': token = '' } = headers;
  const presigned = `https://files.test/k?X-Amz-Credential=AKIDOFACOMPLAINT%2F20261123&X-Amz-Security-Token=${encodeURIComponent(String(token))}&X-Amz-Signature=${'5e'.repeat(32)}`;
  const asText = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SignatureDoesNotMatch</Code>
<Message>${asText(`refused: ${url} Authorization: ${authorization} x-amz-security-token: ${token} ${presigned}`)}</Message>
<SignatureProvided>${authorization.split('Signature=')[1] ?? ''}</SignatureProvided>
<Token-0>${token}</Token-0><Known>${asText(secrets.join(' '))}</Known></Error>`;
}
