import { readFile, utimes, writeFile } from 'node:fs/promises';
import type { Request } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newUser } from '../harness/random.ts';
import { describeWith } from '../interop/describe-with.ts';
import { missingChromium } from './chromium.ts';
import { APP, ELSEWHERE, type Fixture, PART_UNIT_BYTES, startScene } from './fixture.ts';

describeWith('a page in Chromium', await missingChromium(), () => {
  let fixture: Fixture;
  let user: string;
  /** Since the test began. */
  let puts: string[];
  let atOnce: number;
  beforeAll(async () => {
    fixture = await startScene();
    const underWay = new Set<Request>();
    fixture.page.on('request', (request) => {
      if (request.method() !== 'PUT') return;
      puts.push(request.url());
      atOnce = Math.max(atOnce, underWay.add(request).size);
    });
    fixture.page.on('requestfinished', (request) => void underWay.delete(request));
    fixture.page.on('requestfailed', (request) => void underWay.delete(request));
  });
  afterAll(() => fixture[Symbol.asyncDispose]());
  beforeEach(async () => {
    user = newUser();
    puts = [];
    atOnce = 0;
    await fixture.open(user);
  });

  const keys = async () => (await fixture.service.bucket.keys()).filter((key) => key.startsWith(user));

  test('hashes, uploads with progress, and lists', async () => {
    const { file, upload, listed } = fixture;
    // Chromium reads a file through a pipe of 2 MiB: on a busy machine, that much comes as one chunk.
    const bytes = Buffer.alloc(4 * 1024 ** 2, 'the März report\n');
    const path = await file('März "1" <b>.pdf', bytes);
    await fixture.page.evaluate(WATCH_PROGRESS);
    await using _slow = await slowLine(4 * 1024 ** 2);

    expect(await upload(path)).toBe('uploaded');

    for (const doing of ['hashing', 'uploading']) {
      const seen = (await fixture.page.evaluate(`progressOf.${doing}`)) as number[];
      expect(seen, doing).toEqual(seen.toSorted((a, b) => a - b));
      expect(seen.at(-1), doing).toBe(1);
      expect(seen.filter((share) => share > 0 && share < 1).length, doing).toBeGreaterThan(0);
    }
    expect(await listed()).toEqual([`März "1" <b>.pdf (${bytes.length} bytes)`]);
  });

  test('is told at the second try that the file is there, and sends nothing', async () => {
    const { file, upload, listed } = fixture;
    const path = await file('twice.txt', 'once is enough');
    expect(await upload(path)).toBe('uploaded');
    expect(puts).toHaveLength(1);
    expect(await upload(path)).toBe('already there');
    expect(puts).toHaveLength(1);
    expect(await listed()).toEqual(['twice.txt (14 bytes)']);
  });

  test('takes a file without bytes, and one whose type no browser knows', async () => {
    const { file, upload, listed } = fixture;
    expect(await upload(await file('nothing.txt', ''))).toBe('uploaded');
    expect(await upload(await file('unknown.qqq', '?'))).toBe('uploaded');
    expect((await listed()).toSorted()).toEqual(['nothing.txt (0 bytes)', 'unknown.qqq (1 bytes)']);
  });

  describe('a file that is written to between the hashing and the PUT', () => {
    const noon = new Date('2026-01-01T12:00:00Z');
    let path: string;
    beforeEach(async () => {
      path = await fixture.file('changing.txt', 'the bytes that were hashed');
      await utimes(path, noon, noon);
    });

    test('is refused by S3, and the page says why', async () => {
      const { gateway, upload, listed } = fixture;
      gateway.before('CreatePresignedUpload', async () => {
        await writeFile(path, 'other bytes, of equal size');
        // As a copy leaves it that keeps the time; the browser notices nothing.
        await utimes(path, noon, noon);
      });
      expect(await upload(path)).toMatch(/^S3 refused the upload: BadDigest the bytes that arrived/);
      expect(puts).toHaveLength(1);
      expect(await listed()).toEqual([]);
      expect(await keys()).toEqual([]);
    });

    test('is not sent where the browser notices, and the page says why', async () => {
      const { gateway, upload, listed } = fixture;
      gateway.before('CreatePresignedUpload', () => writeFile(path, 'other bytes, of equal size'));
      expect(await upload(path)).toMatch(/^the file changed or went away/);
      expect(await listed()).toEqual([]);
      expect(await keys()).toEqual([]);
    });
  });

  describe('a file in parts', () => {
    const bytes = Buffer.alloc(2 * PART_UNIT_BYTES + 1_000);
    beforeEach(() => void bytes.fill(user));
    const partsPut = () => puts.map((url) => new URL(url).searchParams.get('partNumber'));

    test('is uploaded with its parts in parallel, and no header of an answer is read', async () => {
      const { page, file, upload, listed } = fixture;
      const path = await file('film.mp4', bytes);
      await page.evaluate(WATCH_PROGRESS);
      await using _slow = await slowLine(2 * PART_UNIT_BYTES);
      expect(await upload(path)).toBe('uploaded');
      expect(partsPut().toSorted()).toEqual(['1', '2', '3']);
      expect(atOnce).toBeGreaterThan(1);
      expect(await page.evaluate('progressOf.uploading.at(-1)')).toBe(1);
      expect(await listed()).toEqual([`film.mp4 (${bytes.length} bytes)`]);
      expect(await page.evaluate(READ_NEWEST_FILE)).toEqual({ text: bytes.toString(), etag: null });
      expect(await upload(path)).toBe('already there');
      expect(puts).toHaveLength(3);
    });

    test('goes on where it stopped, when it is chosen again', async () => {
      const { gateway, file, upload, listed } = fixture;
      const path = await file('film.mp4', bytes);
      gateway.before('CreatePresignedParts', () => Promise.reject(new Error('the line broke')));
      expect(await upload(path)).toBe('the service cannot be reached (unavailable)');
      expect(partsPut()).toHaveLength(2);
      expect(await listed()).toEqual([]);
      expect(await upload(path)).toBe('uploaded');
      expect(partsPut().toSorted()).toEqual(['1', '2', '3']);
      expect(await listed()).toEqual([`film.mp4 (${bytes.length} bytes)`]);
    });
  });

  test('cannot upload from an origin that the rules do not name', async () => {
    const { open, file, upload, listed } = fixture;
    const path = await file('foreign.txt', 'from elsewhere');
    await open(user, ELSEWHERE);
    expect(await upload(path)).toContain(`the bucket's CORS rules do not allow https://${ELSEWHERE}`);
    expect(await listed()).toEqual([]);
    expect(await keys()).toEqual([]);
    // It was the origin, and nothing else.
    await open(user);
    expect(await upload(path)).toBe('uploaded');
  });

  test('downloads as an attachment, under the name that was uploaded', async () => {
    const { page, file, upload } = fixture;
    const html = '<script>document.title = "inside"</script>';
    await upload(await file('page – ü.html', html));
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download' }).click();
    const download = await downloading;
    expect(download.suggestedFilename()).toBe('page – ü.html');
    expect(await readFile(await download.path(), 'utf8')).toBe(html);
    expect(new URL(page.url()).host).toBe(APP);
  });

  test('reads the bytes of a file, and not from an origin that the rules do not name', async () => {
    const { page, open, file, upload } = fixture;
    await upload(await file('read.txt', 'read by the page'));
    expect(await page.evaluate(READ_NEWEST_FILE)).toMatchObject({ text: 'read by the page' });
    await open(user, ELSEWHERE);
    expect(await page.evaluate(READ_NEWEST_FILE)).toBe('TypeError: Failed to fetch');
  });

  test('deletes', async () => {
    const { page, file, upload, listed } = fixture;
    await upload(await file('brief.txt', 'soon gone'));
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.locator('#files li').waitFor({ state: 'detached' });
    expect(await listed()).toEqual([]);
  });

  test('cannot say who its user is: the gateway does', async () => {
    const { page, open, file, upload } = fixture;
    await upload(await file('mine.txt', 'nobody else’s'));
    const listAsUser = `fetch('/files.v1.FileService/ListFiles', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-user-id': '${user}' },
      body: '{}',
    }).then((answer) => answer.json())`;
    expect(await page.evaluate(listAsUser)).toMatchObject({ files: [{ filename: 'mine.txt' }] });
    await open(newUser());
    expect(await page.evaluate(listAsUser)).toEqual({});
    await page.context().clearCookies();
    expect(await page.evaluate(listAsUser)).toMatchObject({ code: 'unauthenticated' });
  });

  /** Slow enough, in bytes a second, to see an upload on the way: a browser tells of it every 50 ms. */
  async function slowLine(uploadThroughput: number): Promise<AsyncDisposable> {
    const line = await fixture.page.context().newCDPSession(fixture.page);
    const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput };
    await line.send('Network.emulateNetworkConditions', conditions);
    return { [Symbol.asyncDispose]: () => line.detach() };
  }
});

/** Every value that a progress bar takes, by what it is the progress of. */
const WATCH_PROGRESS = `
  globalThis.progressOf = { hashing: [], uploading: [] };
  new MutationObserver((changes) => {
    for (const { target } of changes) progressOf[target.dataset.doing].push(target.value);
  }).observe(document, { subtree: true, attributeFilter: ['value'] });
`;

/** With the page's own modules. */
const READ_NEWEST_FILE = `import('/file-service.ts').then(async ({ call }) => {
  const { files: [{ s3Key }] } = await call('ListFiles', {});
  const { presignedUrl } = await call('CreatePresignedDownload', { s3Key });
  return fetch(presignedUrl).then(
    async (answer) => ({ text: await answer.text(), etag: answer.headers.get('etag') }),
    String,
  );
})`;
