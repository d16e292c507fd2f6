import type { ClientRequest, IncomingMessage } from 'node:http';
import { PutError, refusedPut } from '../upload/put-error.ts';

/**
 * A connection on which no byte moved in either direction for this long counts as broken, although neither side closed
 * the connection.
 */
const IDLE_TIMEOUT_MS = 60_000;

/** S3's error documents are shorter. The rest of a longer body is not read, because it may have no end. */
const ERROR_BODY_MAX_BYTES = 16 * 1024;

/**
 * S3 sends an error document together with the status. The rest of a body that takes longer is not read: with one byte
 * a minute, IDLE_TIMEOUT_MS would never end it.
 */
const ERROR_BODY_MAX_MS = 3_000;

/**
 * S3 sends at most one answer such as `100 Continue` before the status. A server that repeats such answers without an
 * end would keep the connection from ever being idle.
 */
const INFORMATIONAL_ANSWERS_MAX = 100;

/**
 * Resolves when S3 has stored the body of the PUT. An abort destroys the request.
 *
 * @throws PutError, or the reason of the signal
 */
export function answerOf(request: ClientRequest, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      reject(
        signal.aborted
          ? signal.reason
          : new PutError(`the connection to S3 broke: ${error.message}`, undefined, error),
      );
    };
    let isAnswered = false;
    // The option `signal` of `http.request` would do the same, with 26 µs of CPU for each request.
    const abort = () => request.destroy();
    signal.addEventListener('abort', abort, { once: true });
    request.setTimeout(IDLE_TIMEOUT_MS, () =>
      request.destroy(new Error(`no byte was sent or received for ${IDLE_TIMEOUT_MS / 1_000} s`)),
    );
    let informational = 0;
    request.on('information', () => {
      if (++informational > INFORMATIONAL_ANSWERS_MAX)
        request.destroy(new Error('S3 answers without a status'));
    });
    request.on('error', fail);
    request.on('close', () => {
      signal.removeEventListener('abort', abort);
      if (!isAnswered) fail(new Error('S3 closed it'));
    });
    request.on('response', (response) => {
      response.on('error', fail);
      readAnswer(response, (status, text) => {
        isAnswered = true;
        if (status >= 200 && status < 300) resolve();
        else reject(refusedPut(status, text));
      });
    });
  });
}

function readAnswer(response: IncomingMessage, answered: (status: number, text: string) => void): void {
  const { statusCode = 0 } = response;
  const pieces: Buffer[] = [];
  let length = 0;
  const end = () => {
    clearTimeout(timer);
    answered(statusCode, Buffer.concat(pieces).toString());
  };
  const cut = () => {
    end();
    response.destroy();
  };
  const timer = setTimeout(cut, ERROR_BODY_MAX_MS);
  response.on('end', end);
  response.on('close', () => clearTimeout(timer));
  response.on('data', (piece: Buffer) => {
    pieces.push(piece);
    length += piece.length;
    if (length >= ERROR_BODY_MAX_BYTES) cut();
  });
}
