import type { Interceptor } from '@connectrpc/connect';

/** Sends these headers with every call, as a gateway does for a user. */
export const sendHeaders =
  (headers: Record<string, string>): Interceptor =>
  (next) =>
  (request) => {
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return next(request);
  };
