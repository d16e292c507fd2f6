import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { uploadFile } from '../../src/client/upload-file.ts';
import { newUser } from '../harness/random.ts';
import { downloaded, type Fixture, openFixture, PART_BYTES, sha256 } from './fixture.ts';

const CHILD = join(import.meta.dirname, 'upload-child.ts');
const IN_PARTS = { multipartFromBytes: PART_BYTES };

let fixture: Fixture;
beforeAll(async () => {
  // Less than the uploads take.
  fixture = await openFixture({ PRESIGN_TTL_SECONDS: '3' });
});
afterAll(() => fixture[Symbol.asyncDispose]());

it('a client that is killed half-way goes on and sends only what is missing, with URLs that expire under way', async () => {
  const { proxy, service } = fixture;
  const user = newUser();
  const path = await fixture.file('killed.mp4', 5 * PART_BYTES + 1_000);
  proxy.delayMs = 600;
  const options = JSON.stringify({ ...IN_PARTS, concurrency: 1 });
  const child = spawn(process.execPath, [CHILD, service.httpUrl, user, path, options], { stdio: 'inherit' });
  await expect.poll(() => proxy.taken.length, { timeout: 60_000, interval: 20 }).toBeGreaterThanOrEqual(2);
  child.kill('SIGKILL');
  await once(child, 'exit');
  // What was on its way may still have arrived.
  await expect.poll(() => proxy.underWay, { timeout: 10_000 }).toBe(0);
  const before = proxy.taken.length;
  expect(before).toBeLessThan(6);

  const files = service.as(user, 'Connect');
  const { file, existing, bytesSent, bytesResumed } = await uploadFile(files, path, {
    ...IN_PARTS,
    concurrency: 1,
  });
  expect(existing).toBe(false);
  expect(proxy.taken.toSorted()).toEqual([1, 2, 3, 4, 5, 6]);
  expect(bytesResumed).toBe(before * PART_BYTES);
  expect(bytesSent + bytesResumed).toBe(5 * PART_BYTES + 1_000);
  expect(sha256(await downloaded(files, file.s3Key))).toBe(sha256(await readFile(path)));
}, 120_000);
