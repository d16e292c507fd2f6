import { createGrpcTransport } from './grpc.ts';
import { createHttpTransport } from './http.ts';
import type { Transport } from './transport.ts';

/** Where events are delivered, and the token that they carry: the settings EVENTS_URL and EVENTS_TOKEN. */
export interface Consumer {
  url: URL;
  token: string | undefined;
}

/** Opens the transport that the protocol of the URL names. It connects with its first delivery. */
export function openTransport({ url, token }: Consumer): Transport {
  return url.protocol.startsWith('http') ? createHttpTransport(url, token) : createGrpcTransport(url, token);
}
