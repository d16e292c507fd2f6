import { createHash } from 'node:crypto';
import { readFile, utimes, writeFile } from 'node:fs/promises';
import type { Request } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newUser } from '../harness/random.ts';
import { describeWith } from '../interop/describe-with.ts';
import { BUNDLES } from './bundle.ts';
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
    // Large enough to be hashed in a worker, which reports its progress after 4 MiB.
    const bytes = Buffer.alloc(PART_UNIT_BYTES, 'the März report\n');
    const path = await file('März "1" <b>.pdf', bytes);
    await fixture.page.evaluate(WATCH_PROGRESS);
    await using _slow = await fixture.slowConnection(4 * 1024 ** 2);

    expect(await upload(path)).toBe('uploaded');

    const { hashing = [], sending = [], done } = await fixture.page.evaluate(PROGRESS);
    for (const seen of [hashing, sending]) {
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      expect(seen.filter((share) => share > 0 && share < 1).length).toBeGreaterThan(0);
    }
    expect(done).toEqual([1]);
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

  test('uploads several files at once, and each content once', async () => {
    const { file, upload, listed } = fixture;
    const names = Array.from({ length: 40 }, (_, i) => `${i}.txt`);
    const paths = await Promise.all(names.map((name) => file(name, `${user} ${name}`)));
    const film = await file('film.mp4', Buffer.alloc(PART_UNIT_BYTES + 1, user));
    expect(await upload([...paths, film])).toBe('41 uploaded, 0 already there, 0 failed');
    expect(await upload([...paths, film])).toBe('0 uploaded, 41 already there, 0 failed');
    expect(puts).toHaveLength(42);
    expect(await listed()).toHaveLength(41);
  });

  test('uploads the other files when the service refuses the name of one', async () => {
    const { file, upload, listed } = fixture;
    const names = ['one.txt', 'two.txt', 'gpj.\u202etxt'];
    const paths = await Promise.all(names.map((name) => file(name, `${user} ${name}`)));
    expect(await upload(paths)).toBe('2 uploaded, 0 already there, 1 failed');
    expect(await listed()).toHaveLength(2);
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
      expect(await upload(path)).toMatch(/^SOURCE_CHANGED: S3 received other bytes than were hashed/);
      // A damaged PUT gets one more attempt.
      expect(puts).toHaveLength(2);
      expect(await listed()).toEqual([]);
      expect(await keys()).toEqual([]);
    });

    test('is not sent when the browser notices the change, and the page shows the reason', async () => {
      const { gateway, upload, listed } = fixture;
      gateway.before('CreatePresignedUpload', () => writeFile(path, 'other bytes, of equal size'));
      expect(await upload(path)).toMatch(/^SOURCE_CHANGED: the file changed or went away/);
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
      await using _slow = await fixture.slowConnection(2 * PART_UNIT_BYTES);
      expect(await upload(path)).toBe('uploaded');
      expect(partsPut().toSorted()).toEqual(['1', '2', '3']);
      expect(atOnce).toBeGreaterThan(1);
      expect((await page.evaluate(PROGRESS)).done).toEqual([1]);
      expect(await listed()).toEqual([`film.mp4 (${bytes.length} bytes)`]);
      const { sha256: stored } = await fixture.stored(user);
      expect(stored).toBe(createHash('sha256').update(bytes).digest('hex'));
      expect(await upload(path)).toBe('already there');
      expect(puts).toHaveLength(3);
    });

    test('is cancelled by the user, and continues when the user chooses the file again', async () => {
      const { page, file, upload, listed } = fixture;
      const path = await file('film.mp4', bytes);
      {
        // Slow enough that the third part, with few bytes, is in S3 before the others.
        await using _slow = await fixture.slowConnection(PART_UNIT_BYTES);
        const last = page.waitForEvent('requestfinished', (request) =>
          request.url().includes('partNumber=3'),
        );
        const outcome = upload(path);
        await last;
        await page.getByRole('button', { name: 'Cancel' }).last().click();
        expect(await outcome).toBe('cancelled');
      }
      expect(await listed()).toEqual([]);
      puts = [];
      expect(await upload(path)).toBe('uploaded');
      expect(partsPut().toSorted()).toEqual(['1', '2']);
      expect(await listed()).toEqual([`film.mp4 (${bytes.length} bytes)`]);
    });

    test('survives a call that fails', async () => {
      const { gateway, file, upload } = fixture;
      gateway.before('CreatePresignedParts', () => Promise.reject(new Error('the connection broke')));
      expect(await upload(await file('film.mp4', bytes))).toBe('uploaded');
    });
  });

  describe.each([
    ['with its worker', BUNDLES.esbuildWithWorker, 200],
    ['without its worker', BUNDLES.esbuild, 404],
  ])('a bundle of the client %s', (_, path, status) => {
    test('hashes and uploads', async () => {
      const { page, open, file, upload } = fixture;
      await open(user, { path });
      const worker = page.waitForResponse((response) => response.url().endsWith('md5-worker.js'));
      expect(await upload(await file('film.mp4', Buffer.alloc(2 * PART_UNIT_BYTES, user)))).toBe('uploaded');
      expect((await worker).status()).toBe(status);
    });
  });

  test('hashes without a worker when the policy of the page forbids workers', async () => {
    const { page, file, upload } = fixture;
    const policy = `<meta http-equiv="content-security-policy" content="worker-src 'none'">`;
    await page.evaluate(`document.head.insertAdjacentHTML('beforeend', \`${policy}\`)`);
    const workers: string[] = [];
    page.on('request', (request) => void (request.url().includes('worker') && workers.push(request.url())));
    expect(await upload(await file('film.mp4', Buffer.alloc(2 * PART_UNIT_BYTES, user)))).toBe('uploaded');
    expect(workers).toEqual([]);
  });

  test('cannot upload from an origin that the CORS rules do not name', async () => {
    const { open, file, upload, listed } = fixture;
    const path = await file('foreign.txt', 'from elsewhere');
    await open(user, { host: ELSEWHERE });
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
    expect(await page.evaluate(READ_NEWEST_FILE)).toMatchObject({ text: 'read' });
    await open(user, { host: ELSEWHERE });
    expect(await page.evaluate(READ_NEWEST_FILE)).toBe('TypeError: Failed to fetch');
  });

  test('reads the headers that Uppy and pdf.js need, because the CORS rules expose them', async () => {
    const { page, file, upload } = fixture;
    expect(await upload(await file('headers.pdf', 'a document'))).toBe('uploaded');
    expect(await page.evaluate(READ_NEWEST_FILE)).toEqual({
      text: 'a do',
      etag: `"${createHash('md5').update('a document').digest('hex')}"`,
      contentRange: 'bytes 0-3/10',
      contentLength: '4',
      acceptRanges: 'bytes',
    });
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
});

/** Records every value of the progress bars, in each phase. */
const WATCH_PROGRESS = `
  globalThis.progress = {};
  new MutationObserver((changes) => {
    for (const { target } of changes) (progress[target.dataset.phase] ??= []).push(target.position);
  }).observe(document, { subtree: true, attributeFilter: ['value'] });
`;
const PROGRESS = 'progress' as unknown as () => Record<string, number[]>;

/** Reads the first bytes of the newest file, as a reader does that shows a document before it has all of it. */
const READ_NEWEST_FILE = `(async () => {
  const call = async (method, request) => {
    const body = JSON.stringify(request);
    const headers = { 'content-type': 'application/json' };
    return (await fetch('/files.v1.FileService/' + method, { method: 'POST', headers, body })).json();
  };
  const { files: [{ s3Key }] } = await call('ListFiles', {});
  const { presignedUrl } = await call('CreatePresignedDownload', { s3Key });
  const answer = await fetch(presignedUrl, { headers: { range: 'bytes=0-3' } });
  return {
    text: await answer.text(),
    etag: answer.headers.get('etag'),
    contentRange: answer.headers.get('content-range'),
    contentLength: answer.headers.get('content-length'),
    acceptRanges: answer.headers.get('accept-ranges'),
  };
})().catch(String)`;
