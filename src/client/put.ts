import http, { type ClientRequest } from 'node:http';
import https from 'node:https';

/** Where bytes go, as the service said it. */
export interface PutTarget {
  url: string;
  headers: Record<string, string>;
}

/** A PUT that S3 did not take. */
export class PutError extends Error {
  override readonly name = 'PutError';
  /** Of S3's answer. Undefined: there was none, and whether the bytes arrived is not known. */
  readonly status: number | undefined;
  /** S3's own word, as `SlowDown`; empty where it gave none. */
  readonly code: string;

  constructor(message: string, answer?: { status: number; code: string }, cause?: unknown) {
    super(message, { cause });
    this.status = answer?.status;
    this.code = answer?.code ?? '';
  }
}

export interface PutClient extends Disposable {
  /**
   * One PUT with exactly these headers (and Host and Connection). Reads the bytes as fast as they go out.
   *
   * @throws PutError, or what reading the bytes throws, or an AbortError
   */
  put(target: PutTarget, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
}

/** Neither a byte out nor one in for this long: the connection is dead, and nobody said so. */
const SILENCE_TIMEOUT_MS = 60_000;

/** S3's errors are shorter; what is longer is none of S3's. */
const ERROR_BODY_MAX_BYTES = 16 * 1024;

/** Its connections are its own, so that none outlives it. */
export function createPutClient(): PutClient {
  const agents = {
    'http:': new http.Agent({ keepAlive: true }),
    'https:': new https.Agent({ keepAlive: true }),
  };
  return {
    async put({ url, headers }, bytes, signal) {
      const request =
        new URL(url).protocol === 'https:'
          ? https.request(url, { method: 'PUT', headers, signal, agent: agents['https:'] })
          : http.request(url, { method: 'PUT', headers, signal, agent: agents['http:'] });
      const answered = answerOf(request);
      // The bytes' own fault first: it is why the connection broke.
      const sent = send(request, bytes);
      try {
        await Promise.race([answered, sent.then(() => answered)]);
      } finally {
        // An answer that came early wants no more bytes, and its connection is in the middle of some.
        if (!request.writableFinished) request.destroy();
        await sent.catch(() => {});
      }
    },
    [Symbol.dispose]() {
      agents['http:'].destroy();
      agents['https:'].destroy();
    },
  };
}

async function send(request: ClientRequest, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const piece of bytes) {
      if (request.destroyed) return;
      if (!request.write(piece)) await drained(request);
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
    request.setTimeout(SILENCE_TIMEOUT_MS, () =>
      request.destroy(new Error(`not a byte in ${SILENCE_TIMEOUT_MS / 1_000} s`)),
    );
    request.on('error', fail);
    request.on('close', () => fail(new Error('it was closed')));
    request.on('response', (response) => {
      const { statusCode: status = 0 } = response;
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        if (body.length < ERROR_BODY_MAX_BYTES) body += text;
      });
      response.on('error', fail);
      response.on('end', () => {
        if (status >= 200 && status < 300) return resolve();
        const code = /<Code>([^<]*)<\/Code>/.exec(body)?.[1] ?? '';
        const message = /<Message>([^<]*)<\/Message>/.exec(body)?.[1] ?? '';
        reject(
          new PutError([`S3 answered ${status}`, code, message].filter(Boolean).join(': '), { status, code }),
        );
      });
    });
  });
}
