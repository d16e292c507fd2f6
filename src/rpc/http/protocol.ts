import type { MessageEncoding } from '../limits/message-limits.ts';

/** The protocol of a unary call, as its Content-Type names it. */
export interface UnaryProtocol {
  name: 'connect' | 'grpc' | 'grpc-web' | 'grpc-web-text';
  encoding: MessageEncoding;
}

const MEDIA_TYPE = /^application\/(?:(grpc|grpc-web|grpc-web-text)(?:\+(proto|json))?|(proto|json))(?:;|$)/i;

/**
 * @param contentType the value of the request's header
 * @returns `undefined` if no unary call of this server can have this Content-Type
 */
export function protocolOf(contentType = ''): UnaryProtocol | undefined {
  const found = MEDIA_TYPE.exec(contentType);
  if (found === null) return undefined;
  const name = (found[1]?.toLowerCase() ?? 'connect') as UnaryProtocol['name'];
  const format = found[2] ?? found[3];
  return { name, encoding: format?.toLowerCase() === 'json' ? 'json' : 'binary' };
}
