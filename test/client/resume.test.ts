import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { uploadFile } from '../../src/client/node.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { downloaded, openFixture, PART_BYTES, sha256 } from './fixture.ts';

const CHILD = join(import.meta.dirname, 'upload-child.ts');
const AS_MULTIPART = { multipartFromBytes: PART_BYTES };

// The lifetime of a URL is shorter than an upload, so that URLs expire during an upload.
const fixture = forAllTests(() => openFixture({ PRESIGN_TTL_SECONDS: '3' }));

it('a killed upload resumes with only the missing parts, although its URLs expire', async () => {
  const { proxy, service } = fixture;
  const user = newUser();
  const path = await fixture.file('killed.mp4', 5 * PART_BYTES + 1_000);
  proxy.delayMs = 600;
  const options = JSON.stringify({ ...AS_MULTIPART, concurrency: 1 });
  const child = spawn(process.execPath, [CHILD, service.httpUrl, user, path, options], { stdio: 'inherit' });
  await expect.poll(() => proxy.taken.length, { timeout: 60_000, interval: 20 }).toBeGreaterThanOrEqual(2);
  child.kill('SIGKILL');
  await once(child, 'exit');
  // A part that was being sent at the kill can still arrive.
  await expect.poll(() => proxy.underWay, { timeout: 10_000 }).toBe(0);
  const before = proxy.taken.length;
  expect(before).toBeLessThan(6);

  const files = service.as(user, 'Connect');
  const { file, existing, bytesSent, bytesResumed } = await uploadFile(files, path, {
    ...AS_MULTIPART,
    concurrency: 1,
  });
  expect(existing).toBe(false);
  expect(proxy.taken.toSorted()).toEqual([1, 2, 3, 4, 5, 6]);
  expect(bytesResumed).toBe(before * PART_BYTES);
  expect(bytesSent + bytesResumed).toBe(5 * PART_BYTES + 1_000);
  expect(sha256(await downloaded(files, file.s3Key))).toBe(sha256(await readFile(path)));
}, 120_000);
