/** Forked by `liveness.ts`: is told what to ask, asks it, and reports whenever it is asked. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as requestHttp1 } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { Look, Looked } from './liveness.ts';

const INTERVAL_MS = 50;
/** Long after every limit: no answer at all. */
const PATIENCE_MS = 5_000;

let session: ClientHttp2Session | undefined;

const [looks] = (await once(process, 'message')) as [Look[]];
const counts = looks.map(() => ({ count: 0, slowestMs: 0, faults: [] as string[] }));
await Promise.all(looks.map(ask));

for (const [index, look] of looks.entries()) setInterval(() => void note(index, look), INTERVAL_MS);
process.on('message', () => {
  const looked: Looked[] = looks.map(({ name }, index) => ({
    name,
    ...(counts[index] ?? { count: 0, slowestMs: 0, faults: [] }),
  }));
  for (const index of counts.keys()) counts[index] = { count: 0, slowestMs: 0, faults: [] };
  process.send?.(looked);
});
process.send?.('ready');

async function note(index: number, look: Look): Promise<void> {
  const startMs = performance.now() - waitedForCoreMs(look);
  const outcome = await ask(look);
  const ms = performance.now() - waitedForCoreMs(look) - startMs;
  const count = counts[index];
  if (count === undefined) return;
  count.count++;
  count.slowestMs = Math.max(count.slowestMs, ms);
  if (outcome !== 'ok') count.faults.push(`${outcome} after ${ms.toFixed(0)} ms`);
  else if (ms > look.limitMs) count.faults.push(`${ms.toFixed(0)} ms`);
}

/**
 * How long the service's main thread, and this one, have been ready to run while other processes had the cores: that is
 * the machine's fault. On Linux alone; elsewhere it counts as none.
 */
function waitedForCoreMs({ pid }: Look): number {
  try {
    const waits = [pid, 'self'].map((one) =>
      Number(readFileSync(`/proc/${one}/schedstat`, 'utf8').split(' ')[1]),
    );
    return waits.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e6;
  } catch {
    return 0;
  }
}

function ask(look: Look): Promise<string> {
  return look.httpVersion === 1 ? askHttp1(look) : askHttp2(look);
}

/** On a connection of its own, as probes do it. */
function askHttp1({ url, headers, body }: Look): Promise<string> {
  return new Promise((resolve) => {
    const request = requestHttp1(url, { method: body === undefined ? 'GET' : 'POST', headers, agent: false });
    request.setTimeout(PATIENCE_MS, () => request.destroy());
    request.once('response', (response) => {
      response
        .resume()
        .once('end', () => resolve(response.statusCode === 200 ? 'ok' : `HTTP ${response.statusCode}`));
    });
    request.on('error', (error) => resolve(error.message)).once('close', () => resolve('closed'));
    request.end(body === undefined ? undefined : Buffer.from(body, 'base64'));
  });
}

/** On the connection that is there, as gateways do it, or a new one. */
function askHttp2({ url, headers, body = '' }: Look): Promise<string> {
  return new Promise((resolve) => {
    if (session === undefined || session.closed || session.destroyed) {
      session = connectHttp2(new URL(url).origin).on('error', () => {});
    }
    const stream = session.request({ ':method': 'POST', ':path': new URL(url).pathname, ...headers });
    let status: unknown;
    const noteStatus = (fields: Record<string, unknown>) => {
      status = fields['grpc-status'] ?? status;
    };
    stream
      .on('response', noteStatus)
      .on('trailers', noteStatus)
      .on('error', () => {});
    stream.setTimeout(PATIENCE_MS, () => stream.close());
    stream.resume().once('close', () => resolve(status === '0' ? 'ok' : `grpc-status ${status}`));
    stream.end(Buffer.from(body, 'base64'));
  });
}
