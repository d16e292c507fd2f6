import { envelope } from '../resilience/http2-frames.ts';
import type { Case } from './cases.ts';
import { compress } from './encodings.ts';
import type { Port } from './methods.ts';
import { httpVersionOf } from './protocols.ts';

/** A request as it is sent to the service. */
export interface RawRequest {
  readonly port: Port;
  readonly httpVersion: 1 | 2;
  /** Default: POST. */
  readonly method?: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** `true` when the answer never ends, so that the test uses its first message. */
  readonly isEndless: boolean;
}

/** @param proof the headers that name the user, with or without the gateway token (`service.ts`) */
export function requestOf(one: Case, proof: Readonly<Record<string, string>>): RawRequest {
  const { method, protocol, encoding, message, sizeBytes } = one;
  const bytes = compressed(one, () => message.encode(sizeBytes));
  const isCompressed = encoding !== 'identity';
  return {
    port: protocol.port,
    httpVersion: httpVersionOf(protocol, method),
    path: `/${method.parent.typeName}/${method.name}`,
    headers: {
      'content-type': protocol.contentType(method),
      te: 'trailers',
      ...(isCompressed ? { [protocol.encodingHeader(method)]: encoding } : {}),
      ...proof,
    },
    body: protocol.hasEnvelope(method) ? envelope(bytes, isCompressed ? 1 : 0) : Buffer.from(bytes),
    isEndless: method.methodKind === 'server_streaming',
  };
}

/**
 * Caches compressed bombs. Compressing 64 MiB takes a third of a second, and all bombs of a format are equal.
 */
const bombs = new Map<string, Uint8Array>();

function compressed({ encoding, message, sizeBytes, protocol }: Case, encode: () => Buffer): Uint8Array {
  if (sizeBytes <= 1024 * 1024) return compress(encoding, encode());
  const key = `${encoding} ${protocol.format} ${message.kind}`;
  const known = bombs.get(key) ?? compress(encoding, encode());
  bombs.set(key, known);
  return known;
}
