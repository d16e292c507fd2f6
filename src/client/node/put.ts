/** Sends one PUT to a presigned URL: streamed, with the headers that the service requires for this URL. */
import http, { type ClientRequest } from 'node:http';
import https from 'node:https';
import type { PutClient, PutOptions } from '../upload/platform.ts';
import { PutError, refusedPut } from '../upload/put-error.ts';

/**
 * A connection on which no byte moved in either direction for this long counts as broken, although neither side closed
 * the connection.
 */
const IDLE_TIMEOUT_MS = 60_000;

/** S3's error documents are shorter. The rest of a longer body is not read, because it may have no end. */
const ERROR_BODY_MAX_BYTES = 16 * 1024;

/**
 * @param given the agent of the caller, who closes it. Without it the client has its own connections, so that closing
 *   the client closes all of them.
 */
export function createPutClient(given?: http.Agent): PutClient<AsyncIterable<Uint8Array>> {
  const own = { keepAlive: true, ...proxyOfProcess() };
  const agents = { 'http:': new http.Agent(own), 'https:': new https.Agent(own) };
  return {
    /** Adds only Host and Connection to the headers. Reads the bytes no faster than they are sent. */
    async put({ url, headers }, bytes, { signal, onSent }) {
      const request =
        new URL(url).protocol === 'https:'
          ? https.request(url, { method: 'PUT', headers, signal, agent: given ?? agents['https:'] })
          : http.request(url, { method: 'PUT', headers, signal, agent: given ?? agents['http:'] });
      const answered = answerOf(request);
      // If reading the bytes fails, `send` destroys the request, and then `answered` fails too. The caller gets
      // the error of reading, because `sent` fails first.
      const sent = send(request, bytes, onSent);
      try {
        await Promise.race([answered, sent.then(() => answered)]);
      } finally {
        // If S3 answered before all bytes were sent, the connection is in the middle of a request body. Such a
        // connection cannot carry another request.
        if (!request.writableFinished) request.destroy();
        await sent.catch(() => {});
      }
    },
    close() {
      agents['http:'].destroy();
      agents['https:'].destroy();
    },
  };
}

/**
 * The proxy that Node uses for the whole process: the variables of NODE_USE_ENV_PROXY, or the argument of
 * `http.setGlobalProxyFromEnv`. Node 20 has no such proxy, and sends directly.
 */
function proxyOfProcess(): Pick<http.AgentOptions, 'proxyEnv'> {
  const { options } = http.globalAgent as http.Agent & { options?: http.AgentOptions };
  return options?.proxyEnv === undefined ? {} : { proxyEnv: options.proxyEnv };
}

async function send(
  request: ClientRequest,
  bytes: AsyncIterable<Uint8Array>,
  onSent: PutOptions['onSent'],
): Promise<void> {
  try {
    for await (const piece of bytes) {
      if (request.destroyed) return;
      if (!request.write(piece)) await drained(request);
      onSent(piece.length);
    }
    request.end();
  } catch (error) {
    request.destroy();
    throw error;
  }
}

function drained(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    if (request.destroyed) return resolve();
    const done = () => {
      request.off('drain', done).off('close', done);
      resolve();
    };
    request.on('drain', done).on('close', done);
  });
}

function answerOf(request: ClientRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      const isAbort = error.name === 'AbortError';
      reject(
        isAbort ? error : new PutError(`the connection to S3 broke: ${error.message}`, undefined, error),
      );
    };
    request.setTimeout(IDLE_TIMEOUT_MS, () =>
      request.destroy(new Error(`no byte was sent or received for ${IDLE_TIMEOUT_MS / 1_000} s`)),
    );
    request.on('error', fail);
    request.on('close', () => fail(new Error('S3 closed it')));
    request.on('response', (response) => {
      const { statusCode: status = 0 } = response;
      let body = '';
      response.setEncoding('utf8');
      response.on('error', fail);
      const answered = () => {
        if (status >= 200 && status < 300) return resolve();
        reject(refusedPut(status, body));
      };
      response.on('end', answered);
      response.on('data', (text: string) => {
        body += text;
        if (body.length < ERROR_BODY_MAX_BYTES) return;
        answered();
        response.destroy();
      });
    });
  });
}
