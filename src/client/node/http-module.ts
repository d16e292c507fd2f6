/**
 * Loads node:http and node:https when the first PUT needs them. An `import` of node:http at the top of a file reads all
 * exports of the module. One of them loads undici, and with node:https that takes 25 ms and 14 MB at the start of a
 * process, which small uploads would feel (Node 24).
 */
import process from 'node:process';

export type HttpModule = Pick<typeof import('node:http'), 'Agent' | 'request' | 'globalAgent'>;

/** @param protocol as in `URL.protocol`: with its colon */
export async function loadHttp(protocol: string): Promise<HttpModule> {
  const isSecure = protocol === 'https:';
  const loaded = process.getBuiltinModule?.(isSecure ? 'node:https' : 'node:http');
  // Node has `getBuiltinModule` since 20.16 and 22.3.
  return loaded ?? (isSecure ? await import('node:https') : await import('node:http'));
}
