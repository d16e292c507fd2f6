/**
 * Handles one request from its first header to the last byte of its answer. Never rejects: every error is an
 * answer.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { bodyOf } from './body.ts';
import { type CorsRule, corsHeaders, preflightHeaders } from './cors.ts';
import { S3Error } from './errors.ts';
import type { Answer, Call } from './operation.ts';
import { parseRequest } from './request.ts';
import { route } from './route.ts';
import { type Authority, authenticate } from './signatures/authenticate.ts';
import { xmlErrorDocument } from './xml.ts';

interface HandlerParts extends Omit<Call, 'request' | 'body'> {
  readonly authority: Authority;
  readonly corsRules: readonly CorsRule[];
}

/**
 * How long a client may go on sending its body after the store has refused its request. The client can read the
 * error in this time. After it, the store closes the connection.
 */
const DRAIN_TIMEOUT_MS = 5000;

export function createHandler(parts: HandlerParts) {
  return async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const requestId = randomBytes(8).toString('hex').toUpperCase();
    let awaitsContinue = /^100-continue$/i.test(message.headers.expect ?? '');
    const sendContinue = (): void => {
      if (awaitsContinue) response.writeContinue();
      awaitsContinue = false;
    };
    const answer = await answerTo(message, sendContinue, parts).catch((error: unknown) =>
      refusal(error, message, requestId),
    );
    // A client that asked for `100 Continue` and did not get it may send the body now, or its next request. The
    // store cannot tell the two apart, so it closes the connection after the answer.
    if (awaitsContinue) response.shouldKeepAlive = false;
    try {
      await send(answer, message, response, requestId, parts.corsRules);
    } catch {
      // The client closed the connection, or the object's file could not be read to its end. Cut the answer
      // short, so that the client does not take it for complete.
      response.destroy();
    }
    drain(message);
  };
}

async function answerTo(
  message: IncomingMessage,
  sendContinue: () => void,
  parts: HandlerParts,
): Promise<Answer> {
  if (message.method === 'OPTIONS') return preflight(message, parts.corsRules);
  const request = parseRequest(message);
  const { payloadHash } = authenticate(request, parts.authority);
  return route({ ...parts, request, body: bodyOf(request, payloadHash, message, sendContinue) });
}

/** Answers a CORS preflight. Browsers send preflights without a signature, so none is checked here or in S3. */
function preflight({ headers }: IncomingMessage, rules: readonly CorsRule[]): Answer {
  const allowed = preflightHeaders(
    rules,
    headers.origin,
    headers['access-control-request-method'],
    headers['access-control-request-headers'],
  );
  if (allowed === undefined)
    throw new S3Error('AccessForbidden', 'CORSResponse: This CORS request is not allowed.');
  return { status: 200, headers: { ...allowed, 'content-length': '0' } };
}

function refusal(error: unknown, message: IncomingMessage, requestId: string): Answer {
  const known =
    error instanceof S3Error
      ? error
      : new S3Error('InternalError', 'We encountered an internal error. Please try again.', {
          // S3 hides the cause. This store shows it, because only the developer who runs the store reads the error.
          Cause: error instanceof Error ? error.message : String(error),
        });
  const { code, message: text, details, status } = known;
  const resource = message.url?.split('?')[0];
  return {
    status,
    headers: { 'content-type': 'application/xml' },
    body: xmlErrorDocument({
      Code: code,
      Message: text,
      ...details,
      Resource: resource,
      RequestId: requestId,
    }),
  };
}

async function send(
  { status, headers, body }: Answer,
  message: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  rules: readonly CorsRule[],
): Promise<void> {
  const all = {
    ...corsHeaders(rules, message.headers.origin, message.method),
    ...headers,
    'x-amz-request-id': requestId,
  };
  for (const [name, value] of Object.entries(all)) response.setHeader(name, value);
  response.statusCode = status;
  if (body === undefined || message.method === 'HEAD') {
    response.end();
  } else if (typeof body === 'string') {
    response.end(body);
  } else {
    await pipeline(body, response);
  }
}

/**
 * Reads and drops the rest of a refused body. If the store closed the connection while the client still sends, the
 * client would see a connection reset instead of the error.
 */
function drain(message: IncomingMessage): void {
  if (message.complete) return;
  message.resume();
  const timer = setTimeout(() => message.destroy(), DRAIN_TIMEOUT_MS);
  message.once('close', () => clearTimeout(timer));
}
