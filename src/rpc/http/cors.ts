import type { IncomingMessage, ServerResponse } from 'node:http';
import { cors } from '@connectrpc/connect';

/** Chromium keeps the answer to a preflight for two hours at most, so a longer time would have no effect. */
const PREFLIGHT_MAX_AGE_SECONDS = 7_200;

const HEADER_NAMES = /^[\w!#$%&'*+.^`|~, -]+$/;

/** Adds the headers of CORS to a response. @returns `true` if the request was a preflight, which is answered */
type Cors = (request: IncomingMessage, response: ServerResponse) => boolean;

/**
 * Lets pages of the allowed origins call the service and read its answers (Fetch Standard, "CORS protocol").
 * Credentials are allowed, because a gateway (the trusted caller through which the calls of users reach the service)
 * may know its users by a cookie.
 *
 * A page may send every header. The service does not know the headers that a gateway needs (a token, a trace), and the
 * gateway removes the headers that a page must not send.
 */
export function createCors(allowedOrigins: readonly string[]): Cors {
  if (allowedOrigins.length === 0) return () => false;
  const origins = new Set(allowedOrigins);
  return ({ method, headers }, response) => {
    // The answer differs by origin, so a cache must not give the answer for one origin to another.
    response.setHeader('vary', 'Origin');
    const { origin } = headers;
    if (origin === undefined || !origins.has(origin)) return false;
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('access-control-allow-credentials', 'true');
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) {
      response.setHeader('access-control-expose-headers', cors.exposedHeaders.join(', '));
      return false;
    }
    const requested = headers['access-control-request-headers'] ?? '';
    if (HEADER_NAMES.test(requested)) response.setHeader('access-control-allow-headers', requested);
    response.setHeader('access-control-allow-methods', 'POST');
    response.setHeader('access-control-max-age', String(PREFLIGHT_MAX_AGE_SECONDS));
    response.writeHead(204).end();
    return true;
  };
}
