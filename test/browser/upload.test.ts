import { readFile, utimes, writeFile } from 'node:fs/promises';
import type { Request } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newUser } from '../harness/random.ts';
import { describeWith } from '../interop/describe-with.ts';
import { missingChromium } from './chromium.ts';
import { APP, ELSEWHERE, type Fixture, openFixture, PART_UNIT_BYTES } from './fixture.ts';

describeWith('a page in Chromium', await missingChromium(), () => {
  let fixture: Fixture;
  let user: string;
  /** The URLs of all PUTs since the test began, and the largest number of PUTs at once. */
  let puts: string[];
  let atOnce: number;
  beforeAll(async () => {
    fixture = await openFixture();
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

  test('hashes and uploads a file with progress, and lists it', async () => {
    const { file, upload, listed } = fixture;
    // Chromium reads a file through a pipe of 2 MiB, so a chunk can have 2 MiB on a busy machine.
    const bytes = Buffer.alloc(4 * 1024 ** 2, 'the März report\n');
    const path = await file('März "1" <b>.pdf', bytes);
    await fixture.page.evaluate(WATCH_PROGRESS);
    await using _slow = await slowConnection(4 * 1024 ** 2);

    expect(await upload(path)).toBe('uploaded');

    for (const doing of ['hashing', 'uploading']) {
      const seen = (await fixture.page.evaluate(`progressOf.${doing}`)) as number[];
      expect(seen, doing).toEqual(seen.toSorted((a, b) => a - b));
      expect(seen.at(-1), doing).toBe(1);
      expect(seen.filter((share) => share > 0 && share < 1).length, doing).toBeGreaterThan(0);
    }
    expect(await listed()).toEqual([`März "1" <b>.pdf (${bytes.length} bytes)`]);
  });

  test('sends nothing when the file exists already', async () => {
    const { file, upload, listed } = fixture;
    const path = await file('twice.txt', 'once is enough');
    expect(await upload(path)).toBe('uploaded');
    expect(puts).toHaveLength(1);
    expect(await upload(path)).toBe('already there');
    expect(puts).toHaveLength(1);
    expect(await listed()).toEqual(['twice.txt (14 bytes)']);
  });

  test('uploads an empty file, and a file with an unknown type', async () => {
    const { file, upload, listed } = fixture;
    expect(await upload(await file('nothing.txt', ''))).toBe('uploaded');
    expect(await upload(await file('unknown.qqq', '?'))).toBe('uploaded');
    expect((await listed()).toSorted()).toEqual(['nothing.txt (0 bytes)', 'unknown.qqq (1 bytes)']);
  });

  describe('a file that changes between the hashing and the PUT', () => {
    const noon = new Date('2026-01-01T12:00:00Z');
    let path: string;
    beforeEach(async () => {
      path = await fixture.file('changing.txt', 'the bytes that were hashed');
      await utimes(path, noon, noon);
    });

    test('is refused by S3, and the page shows the reason', async () => {
      const { gateway, upload, listed } = fixture;
      gateway.before('CreatePresignedUpload', async () => {
        await writeFile(path, 'other bytes, of equal size');
        // The time stays the same, as after a copy that keeps it. The browser does not notice the change.
        await utimes(path, noon, noon);
      });
      expect(await upload(path)).toMatch(/^S3 refused the upload: BadDigest the bytes that arrived/);
      expect(puts).toHaveLength(1);
      expect(await listed()).toEqual([]);
      expect(await keys()).toEqual([]);
    });

    test('is not sent when the browser notices the change, and the page shows the reason', async () => {
      const { gateway, upload, listed } = fixture;
      gateway.before('CreatePresignedUpload', () => writeFile(path, 'other bytes, of equal size'));
      expect(await upload(path)).toMatch(/^the file changed or went away/);
      expect(await listed()).toEqual([]);
      expect(await keys()).toEqual([]);
    });
  });

  describe('a multipart upload', () => {
    const bytes = Buffer.alloc(2 * PART_UNIT_BYTES + 1_000);
    beforeEach(() => void bytes.fill(user));
    const partsPut = () => puts.map((url) => new URL(url).searchParams.get('partNumber'));

    test('sends its parts in parallel', async () => {
      const { page, file, upload, listed } = fixture;
      const path = await file('film.mp4', bytes);
      await page.evaluate(WATCH_PROGRESS);
      await using _slow = await slowConnection(2 * PART_UNIT_BYTES);
      expect(await upload(path)).toBe('uploaded');
      expect(partsPut().toSorted()).toEqual(['1', '2', '3']);
      expect(atOnce).toBeGreaterThan(1);
      expect(await page.evaluate('progressOf.uploading.at(-1)')).toBe(1);
      expect(await listed()).toEqual([`film.mp4 (${bytes.length} bytes)`]);
      expect(await page.evaluate(READ_NEWEST_FILE)).toMatchObject({ text: bytes.toString() });
      expect(await upload(path)).toBe('already there');
      expect(puts).toHaveLength(3);
    });

    test('resumes when the user chooses the file again', async () => {
      const { gateway, file, upload, listed } = fixture;
      const path = await file('film.mp4', bytes);
      gateway.before('CreatePresignedParts', () => Promise.reject(new Error('the connection broke')));
      expect(await upload(path)).toBe('the service cannot be reached (unavailable)');
      expect(partsPut()).toHaveLength(2);
      expect(await listed()).toEqual([]);
      expect(await upload(path)).toBe('uploaded');
      expect(partsPut().toSorted()).toEqual(['1', '2', '3']);
      expect(await listed()).toEqual([`film.mp4 (${bytes.length} bytes)`]);
    });
  });

  test('cannot upload from an origin that the CORS rules do not name', async () => {
    const { open, file, upload, listed } = fixture;
    const path = await file('foreign.txt', 'from elsewhere');
    await open(user, ELSEWHERE);
    expect(await upload(path)).toContain(`the bucket's CORS rules do not allow https://${ELSEWHERE}`);
    expect(await listed()).toEqual([]);
    expect(await keys()).toEqual([]);
    // The origin was the only reason: the same upload succeeds from the other origin.
    await open(user);
    expect(await upload(path)).toBe('uploaded');
  });

  test('downloads a file as an attachment with its uploaded name', async () => {
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

  test('reads the bytes of a file only from an origin that the CORS rules name', async () => {
    const { page, open, file, upload } = fixture;
    await upload(await file('read.txt', 'read by the page'));
    expect(await page.evaluate(READ_NEWEST_FILE)).toMatchObject({ text: 'read by the page' });
    await open(user, ELSEWHERE);
    expect(await page.evaluate(READ_NEWEST_FILE)).toBe('TypeError: Failed to fetch');
  });

  test('needs no header of an answer, because the CORS rules expose none', async () => {
    const { page, file, upload } = fixture;
    expect(await upload(await file('headers.txt', 'no ETag'))).toBe('uploaded');
    const { text, etag } = (await page.evaluate(READ_NEWEST_FILE)) as Record<string, unknown>;
    expect(text).toBe('no ETag');
    expect(etag).toBe(null);
  });

  test('deletes a file', async () => {
    const { page, file, upload, listed } = fixture;
    await upload(await file('brief.txt', 'soon gone'));
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.locator('#files li').waitFor({ state: 'detached' });
    expect(await listed()).toEqual([]);
  });

  test('cannot set its user, because only the gateway does', async () => {
    const { page, open, file, upload } = fixture;
    await upload(await file('mine.txt', 'the file of one user'));
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

  /**
   * Limits the upload, in bytes a second, so that its progress is visible: a browser reports it every 50 ms.
   */
  async function slowConnection(uploadThroughput: number): Promise<AsyncDisposable> {
    const session = await fixture.page.context().newCDPSession(fixture.page);
    const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput };
    await session.send('Network.emulateNetworkConditions', conditions);
    return { [Symbol.asyncDispose]: () => session.detach() };
  }
});

/** Records every value of the progress bars, for hashing and for uploading. */
const WATCH_PROGRESS = `
  globalThis.progressOf = { hashing: [], uploading: [] };
  new MutationObserver((changes) => {
    for (const { target } of changes) progressOf[target.dataset.doing].push(target.value);
  }).observe(document, { subtree: true, attributeFilter: ['value'] });
`;

/** Reads the newest file with the modules of the page. */
const READ_NEWEST_FILE = `import('/file-service.ts').then(async ({ call }) => {
  const { files: [{ s3Key }] } = await call('ListFiles', {});
  const { presignedUrl } = await call('CreatePresignedDownload', { s3Key });
  return fetch(presignedUrl).then(
    async (answer) => ({ text: await answer.text(), etag: answer.headers.get('etag') }),
    String,
  );
})`;
