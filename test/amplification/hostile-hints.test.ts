import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LONG } from '../harness/long-form.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { upload } from '../harness/upload.ts';
import { type HostileHint, hostileHints, SENDER } from './hostile-hints.ts';
import { callOn } from './ordinary-call.ts';
import { report } from './outcome.ts';
import type { RawRequest } from './request.ts';
import { type Extent, openSender, type Sender, settled } from './sender.ts';
import { gateway, keepService, type ProbedService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: 60_000 });

/** As in `longest-block.test.ts` and `crowds.test.ts`. */
const BLOCK_MAX_MS = 50;
const TRIES = 3;
const GROWTH_MAX_MB = 100;

/** Users whose files the messages name. */
const USERS = ['ada', 'bob'];

/**
 * Messages of a kind at once. Unfinished bodies of 1 MiB would take twice the allowed memory. Each whole message takes
 * time of the process that sends it.
 */
const AT_ONCE: Record<Extent, number> = { 'half open': 200, whole: 40 };
const SAMPLES = 15;
const SAMPLE_INTERVAL_MS = 100;

/** The kinds of the short form: those with the most bytes, values and statements. */
const LARGEST = ['1,000 records of all files in reverse', '10 MB', 'one key of 1 MiB', '39,000 members'];

let keeper: ServiceKeeper;
let pool: pg.Pool;
let hints: HostileHint[] = [];
let service: ProbedService;
beforeAll(async () => {
  keeper = await keepService();
  service = await keeper.alive();
  pool = new pg.Pool({ connectionString: keeper.servers.DATABASE_URL, max: 2 });
  const keys = (await Promise.all(USERS.map(filesOf))).flat();
  hints = hostileHints(keeper.servers.S3_BUCKET ?? '', keys);
  // The first messages of a process compile code, which blocks longer than any message.
  for (const hint of hints) await codesOf(hint, 2);
});
afterAll(async () => {
  await pool?.end();
  await keeper?.[Symbol.asyncDispose]();
});

/** Files of each state: pending, with and without an object, READY and deleted. */
async function filesOf(user: string): Promise<string[]> {
  const client = service.process.client(gateway(user));
  const announced = await client.batchCreatePresignedUploads({
    requests: Array.from({ length: 100 }, (_, at) => ({
      filename: `${at}.txt`,
      mimeType: 'text/plain',
      md5: at.toString(16).padStart(32, '0'),
    })),
  });
  const pending = announced.results.flatMap(({ result }) =>
    result.case === 'response' ? [result.value.s3Key] : [],
  );
  const [ready = '', deleted = ''] = [
    await upload(client, 'ready', user),
    await upload(client, 'gone', `${user}!`),
  ];
  await client.getFile({ s3Key: ready });
  await client.deleteFile({ s3Key: deleted });
  return [...pending, ready, deleted];
}

function requestOf({ body, headers }: HostileHint, httpVersion: 1 | 2, proof = SENDER): RawRequest {
  return {
    port: 'HTTP',
    httpVersion,
    path: '/storage-events',
    headers: { ...proof, ...headers },
    body,
    isEndless: false,
  };
}

function sendOn(sender: Sender, hint: HostileHint, copies: number, extent: Extent, proof = SENDER) {
  return Array.from({ length: copies }, (_, at) =>
    sender.send(requestOf(hint, at % 2 === 0 ? 1 : 2, proof), extent),
  );
}

/** @returns the different codes of the answers */
async function codesOf(hint: HostileHint, copies: number): Promise<string[]> {
  using sender = openSender(service.ports);
  const answers = await Promise.all(sendOn(sender, hint, copies, 'whole'));
  return [...new Set(answers.map(({ code }) => code))];
}

/** @returns the largest memory of the process after the messages, in MB; unfinished messages are still open then */
async function memoryAfter(hint: HostileHint, extent: Extent, proof: typeof SENDER): Promise<number> {
  using sender = openSender(service.ports);
  const answers = sendOn(sender, hint, AT_ONCE[extent], extent, proof);
  if (extent === 'whole') await Promise.all(answers);
  else await settled([sender]);
  // The bytes of unfinished messages have left this process, and the service still reads them.
  let largestMb = 0;
  for (let sample = 0; sample < (extent === 'whole' ? 1 : SAMPLES); sample++) {
    await sleep(SAMPLE_INTERVAL_MS);
    largestMb = Math.max(largestMb, await residentMb(service.process.pid));
  }
  return largestMb;
}

/** A message may change the time of the next sweep of a file. The usual sweeps count their attempts. */
const ROWS = `select to_jsonb(files) - '{due_at,sweep_attempts}'::text[] as row from files order by user_id, s3_key`;
const rows = async () => (await pool.query(ROWS)).rows;

it('hostile messages get their answers, block no other call for 50 ms, and change no file', async (context) => {
  const before = await rows();
  const problems: string[] = [];
  const worst = { ms: 0, name: '' };
  for (const hint of hints) {
    let leastMs = Number.POSITIVE_INFINITY;
    for (let tried = 0; tried < TRIES && leastMs >= BLOCK_MAX_MS; tried++) {
      await service.probe.blockMs();
      const codes = await codesOf(hint, 1);
      leastMs = Math.min(leastMs, await service.probe.blockMs());
      // The service may close the connection of a body that it does not read.
      const allowed = hint.status > 400 ? [`HTTP ${hint.status}`, 'closed'] : [`HTTP ${hint.status}`];
      if (!codes.every((code) => allowed.includes(code))) problems.push(`${hint.name}: ${codes}`);
    }
    if (leastMs >= BLOCK_MAX_MS) problems.push(`${hint.name}: ${leastMs.toFixed(0)} ms`);
    if (leastMs > worst.ms) Object.assign(worst, { ms: leastMs, name: hint.name });
  }
  report(context, { route: 'POST /storage-events', block: worst });
  expect(problems).toEqual([]);
  await expect.poll(rows, { timeout: 5_000 }).toEqual(before);
});

describe('many messages of a kind at once grow the process by less than 100 MB', () => {
  const crowds: [string, typeof SENDER, Extent][] = [
    ['of a sender', SENDER, 'whole'],
    ['of a sender, unfinished', SENDER, 'half open'],
    ['without a token', {}, 'whole'],
    ['without a token, unfinished', {}, 'half open'],
  ];
  it.for(crowds)('%s', async ([, proof, extent]) => {
    const startMb = await residentMb(service.process.pid);
    const grown: string[] = [];
    for (const hint of hints) {
      if (!LONG && !LARGEST.includes(hint.name)) continue;
      const grownMb = (await memoryAfter(hint, extent, proof)) - startMb;
      if (grownMb >= GROWTH_MAX_MB) grown.push(`${hint.name}: ${grownMb.toFixed(0)} MB`);
    }
    expect(grown).toEqual([]);
    expect([await callOn('gRPC', service.ports), await callOn('HTTP', service.ports)]).toEqual(['OK', 'OK']);
  });
});
