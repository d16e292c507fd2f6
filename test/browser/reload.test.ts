import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Request } from 'playwright-core';
import { expect, test } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { describeWith } from '../interop/describe-with.ts';
import { missingChromium } from './chromium.ts';
import { openFixture, PART_UNIT_BYTES } from './fixture.ts';

const MB = 1e6;
const SIZE_BYTES = 300 * MB;
const PARTS = Math.ceil(SIZE_BYTES / PART_UNIT_BYTES);

/** The page is loaded again when S3 has this many parts. */
const PARTS_BEFORE_RELOAD = 10;

describeWith('an upload of 300 MB in Chromium', await missingChromium(), () => {
  const fixture = forAllTests(() => openFixture(), 120_000);

  test('continues after the page was loaded again, and happens only once', { timeout: 120_000 }, async () => {
    const { page, upload, stored, listed } = fixture;
    const user = newUser();
    const path = await fixture.file('film.mp4', '');
    await fill(path, user);
    await fixture.open(user, { options: { retryForMs: 30_000 } });

    const before = watchParts();
    await page.locator('#choose').setInputFiles(path);
    await expect.poll(() => before.finished.size, { timeout: 60_000 }).toBeGreaterThan(PARTS_BEFORE_RELOAD);
    // `listed` loads the page again.
    expect(await listed()).toEqual([]);
    before.end();

    const after = watchParts();
    expect(await upload(path)).toBe('uploaded');
    after.end();
    expect([...after.begun].filter((number) => before.finished.has(number))).toEqual([]);
    expect(after.finished.size).toBeLessThan(PARTS);
    expect(new Set([...before.begun, ...after.finished]).size).toBe(PARTS);
    expect(await stored(user)).toEqual({ filename: 'film.mp4', sha256: await sha256(path) });

    const again = watchParts();
    expect(await upload(path)).toBe('already there');
    again.end();
    expect(again.begun.size).toBe(0);
    expect(await listed()).toEqual([`film.mp4 (${SIZE_BYTES} bytes)`]);
  });

  /** The numbers of the parts whose PUTs begin and are answered from now on. */
  function watchParts() {
    const begun = new Set<string>();
    const finished = new Set<string>();
    const add = (numbers: Set<string>) => (request: Request) => {
      const number = new URL(request.url()).searchParams.get('partNumber');
      if (request.method() === 'PUT' && number !== null) numbers.add(number);
    };
    const [beginning, finishing] = [add(begun), add(finished)];
    fixture.page.on('request', beginning).on('requestfinished', finishing);
    const end = () => void fixture.page.off('request', beginning).off('requestfinished', finishing);
    return { begun, finished, end };
  }
});

/** Each megabyte has other bytes, so that each part has an MD5 of its own. */
async function fill(path: string, seed: string): Promise<void> {
  await using file = await open(path, 'w');
  for (let megabyte = 0; megabyte < SIZE_BYTES / MB; megabyte++) {
    await file.write(Buffer.alloc(MB, `${seed} ${megabyte} `));
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest('hex');
}
