import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import type { UploadResult } from '../../src/client/node.ts';
import { PART_UNIT_BYTES } from '../../src/files/rules/part-plan.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { newUser } from '../harness/random.ts';
import { peakResidentMb } from '../harness/resident-memory.ts';
import { startS3Server } from '../servers/s3/start-s3-server.ts';
import { openFixture, PART_BYTES } from './fixture.ts';

const CHILD = join(import.meta.dirname, 'upload-child.ts');

/**
 * The long form uploads more than S3's limit for one PUT. The short form uses the smallest parts that S3
 * accepts.
 */
const [SIZE, PART] = LONG ? [6 * 1024 ** 3, PART_UNIT_BYTES] : [16 * PART_BYTES + 1_000, PART_BYTES];
const PARTS = Math.ceil(SIZE / PART);
const CONCURRENCY = 4;

/** The most memory of the client: enough for Node and the packages. A client that kept whole parts would need more. */
const RSS_MAX_MB = 300;

await using servers = new AsyncDisposableStack();
// The long form uses a real S3 server, and starts one unless TEST_S3_ENDPOINT names one.
const isGiven = process.env.TEST_S3_ENDPOINT !== undefined;
const rgw = LONG && !isGiven ? await startS3Server('rgw') : undefined;
if (rgw !== undefined) {
  servers.use(rgw);
  Object.assign(process.env, rgw.environment);
}
const server = rgw || isGiven ? 'a real S3 server' : 'the development object store';
const owned = servers.move();

afterAll(() => owned.disposeAsync());
const fixture = forAllTests(() => openFixture({ MULTIPART_PART_BYTES: String(PART) }));

it(`an upload of ${SIZE} bytes to ${server} resumes after kill -9 with only the missing parts`, async () => {
  const { proxy, service, directory } = fixture;
  const user = newUser();
  const files = service.as(user);
  const path = join(directory, 'film.mp4');
  await using local = await open(path, 'w+');
  await writeSparse(local);
  // Without a delay, the few parts of the short form would all be sent before the kill.
  proxy.delayMs = LONG ? 0 : 100;

  const first = startUpload(user, path);
  await expect
    .poll(() => proxy.taken.length, { timeout: 300_000, interval: 20 })
    .toBeGreaterThanOrEqual(PARTS / 2);
  expect(await peakResidentMb(first.pid)).toBeLessThan(RSS_MAX_MB);
  first.kill();
  await first.exit;
  // A part that was being sent at the kill can still arrive.
  await expect.poll(() => proxy.underWay, { timeout: 60_000 }).toBe(0);
  const before = proxy.taken.length;
  expect(before).toBeLessThan(PARTS);

  const resumed = await startUpload(user, path).result;
  expect(resumed).toMatchObject({ existing: false });
  expect(proxy.taken.toSorted((a, b) => a - b)).toEqual(Array.from({ length: PARTS }, (_, i) => i + 1));
  expect(resumed.bytesSent + resumed.bytesResumed).toBe(SIZE);
  expect(resumed.bytesSent).toBe(bytesIn(proxy.taken.slice(before)));
  expect(resumed.maxRssMb).toBeLessThan(RSS_MAX_MB);

  const { s3Key } = resumed;
  const listed = await files.listFiles({});
  expect(listed.files).toMatchObject([{ s3Key, size: BigInt(SIZE), state: FileState.READY }]);
  expect(listed.files[0]?.etag).toMatch(new RegExp(`^[0-9a-f]{32}-${PARTS}$`));
  const { presignedUrl } = await files.createPresignedDownload({ s3Key });
  // Each range crosses a border of two parts. One of them may have been sent before the kill, the other after
  // it.
  for (let part = 1; part < PARTS; part += Math.ceil(PARTS / 16)) {
    const [start, length] = [part * PART - 500, 1_000];
    const headers = { Range: `bytes=${start}-${start + length - 1}` };
    const answer = await fetch(presignedUrl, { headers });
    expect(answer.status).toBe(206);
    const { buffer } = await local.read(Buffer.alloc(length), 0, length, start);
    expect(Buffer.from(await answer.arrayBuffer()).equals(buffer)).toBe(true);
  }

  const again = await startUpload(user, path).result;
  expect(again).toMatchObject({ existing: true, bytesSent: 0, s3Key });
  expect(proxy.taken).toHaveLength(PARTS);
  expect(again.maxRssMb).toBeLessThan(RSS_MAX_MB);

  await files.deleteFile({ s3Key });
  expect((await files.listFiles({})).files).toEqual([]);
  expect(await service.bucket.keys()).toEqual([]);
  expect(await service.bucket.uploads()).toEqual([]);
  const rss = [resumed, again].map(({ maxRssMb }) => `${maxRssMb.toFixed(0)} MB`).join(' and ');
  process.stdout.write(
    `${SIZE} bytes on ${server}: killed after ${before} of ${PARTS} parts, resumed with ${PARTS - before}, RSS of the clients ${rss}\n`,
  );
}, 900_000);

/**
 * Writes random bytes around each border of two parts, so that all parts differ and a shifted part is
 * detected.
 */
async function writeSparse(file: FileHandle): Promise<void> {
  await file.truncate(SIZE);
  for (let at = 0; at < SIZE; at += PART)
    await file.write(randomBytes(1_000), 0, 1_000, Math.max(0, at - 500));
}

function bytesIn(parts: readonly number[]): number {
  return parts.reduce((sum, number) => sum + Math.min(PART, SIZE - (number - 1) * PART), 0);
}

type ChildResult = Pick<UploadResult, 'existing' | 'bytesSent' | 'bytesResumed'> & {
  s3Key: string;
  maxRssMb: number;
};

/** Starts a client in a separate process, so that the test can kill it and measure its memory. */
function startUpload(user: string, path: string) {
  const options = JSON.stringify({ multipartFromBytes: PART, concurrency: CONCURRENCY });
  const child = spawn(process.execPath, [CHILD, fixture.service.httpUrl, user, path, options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  return {
    pid: child.pid as number,
    exit,
    kill: () => child.kill('SIGKILL'),
    // A getter, because a killed client has no result and its output must not be parsed.
    get result(): Promise<ChildResult> {
      return text(child.stdout).then(JSON.parse);
    },
  };
}
