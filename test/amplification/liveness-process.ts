/** Forked by `liveness.ts`: receives a list of checks, runs them all the time, and reports on request. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as requestHttp1 } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { Check, CheckResult } from './liveness.ts';

const INTERVAL_MS = 50;
/** Far beyond every limit. After this time a check counts as not answered. */
const PATIENCE_MS = 5_000;

let session: ClientHttp2Session | undefined;

const [checks] = (await once(process, 'message')) as [Check[]];
const counts = checks.map(() => ({ count: 0, slowestMs: 0, problems: [] as string[] }));
await Promise.all(checks.map(send));

for (const [index, check] of checks.entries()) setInterval(() => void run(index, check), INTERVAL_MS);
process.on('message', () => {
  const results: CheckResult[] = checks.map(({ name }, index) => ({
    name,
    ...(counts[index] ?? { count: 0, slowestMs: 0, problems: [] }),
  }));
  for (const index of counts.keys()) counts[index] = { count: 0, slowestMs: 0, problems: [] };
  process.send?.(results);
});
process.send?.('ready');

async function run(index: number, check: Check): Promise<void> {
  const startMs = performance.now() - waitedForCoreMs(check);
  const outcome = await send(check);
  const ms = performance.now() - waitedForCoreMs(check) - startMs;
  const count = counts[index];
  if (count === undefined) return;
  count.count++;
  count.slowestMs = Math.max(count.slowestMs, ms);
  if (outcome !== 'ok') count.problems.push(`${outcome} after ${ms.toFixed(0)} ms`);
  else if (ms > check.limitMs) count.problems.push(`${ms.toFixed(0)} ms`);
}

/**
 * The time in which the service's main thread and this thread were ready to run, but other processes had the
 * cores. The service is not responsible for this time. It is known on Linux only, and 0 elsewhere.
 */
function waitedForCoreMs({ pid }: Check): number {
  try {
    const waits = [pid, 'self'].map((one) =>
      Number(readFileSync(`/proc/${one}/schedstat`, 'utf8').split(' ')[1]),
    );
    return waits.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e6;
  } catch {
    return 0;
  }
}

function send(check: Check): Promise<string> {
  return check.httpVersion === 1 ? sendHttp1(check) : sendHttp2(check);
}

/** Opens a new connection, as probes do. */
function sendHttp1({ url, headers, body }: Check): Promise<string> {
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

/** Uses the open connection, as gateways do, or opens a new connection. */
function sendHttp2({ url, headers, body = '' }: Check): Promise<string> {
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
