import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import type { UploadResult } from '../../src/client/upload-file.ts';
import { PART_UNIT_BYTES } from '../../src/files/rules/part-plan.ts';
import { LONG } from '../harness/long-form.ts';
import { newUser } from '../harness/random.ts';
import { peakResidentMb } from '../harness/resident-memory.ts';
import { startRgw } from '../servers/rgw.ts';
import { type Fixture, openFixture, PART_BYTES } from './fixture.ts';

const CHILD = join(import.meta.dirname, 'upload-child.ts');

/** More than S3 takes in one PUT; else the same with parts that are as small as S3 takes them. */
const [SIZE, PART] = LONG ? [6 * 1024 ** 3, PART_UNIT_BYTES] : [16 * PART_BYTES + 1_000, PART_BYTES];
const PARTS = Math.ceil(SIZE / PART);
const CONCURRENCY = 4;

/** What Node and the packages need, and some. The parts alone would be more. */
const RSS_MAX_MB = 300;

await using servers = new AsyncDisposableStack();
// Of its own where none is given: 6 GiB are to go through a real one.
const isGiven = process.env.TEST_S3_ENDPOINT !== undefined;
const rgw = LONG && !isGiven ? await startRgw() : undefined;
if (rgw !== undefined) {
  servers.use(rgw);
  Object.assign(process.env, rgw.environment);
}
const server = rgw || isGiven ? 'a real S3 server' : 'the development object store';
const owned = servers.move();

let fixture: Fixture;
beforeAll(async () => {
  fixture = owned.use(await openFixture({ MULTIPART_PART_BYTES: String(PART) }));
});
afterAll(() => owned.disposeAsync());

it(`a file of ${SIZE} bytes goes to ${server}, is killed half-way, and goes on with what is missing`, async () => {
  const { proxy, service, directory } = fixture;
  const user = newUser();
  const files = service.as(user);
  const path = join(directory, 'film.mp4');
  await using local = await open(path, 'w+');
  await writeSparse(local);
  // Few parts are gone in no time.
  proxy.delayMs = LONG ? 0 : 100;

  const first = startUpload(user, path);
  await expect
    .poll(() => proxy.taken.length, { timeout: 300_000, interval: 20 })
    .toBeGreaterThanOrEqual(PARTS / 2);
  expect(await peakResidentMb(first.pid)).toBeLessThan(RSS_MAX_MB);
  first.kill();
  await first.exit;
  // What was on its way may still have arrived.
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
  // Across a border between what was sent before the kill and after it may be any of these.
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

/** Every part is another, and bytes on both sides of each border are nobody's guess. */
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

/** A client in a process of its own, so that it can be killed and its memory is its own. */
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
    // Of a client that was killed nobody asks for it.
    get result(): Promise<ChildResult> {
      return text(child.stdout).then(JSON.parse);
    },
  };
}
