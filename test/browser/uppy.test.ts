import { createHash } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { describeWith } from '../interop/describe-with.ts';
import { missingChromium } from './chromium.ts';
import { openFixture, PART_UNIT_BYTES } from './fixture.ts';

describeWith('Uppy in Chromium', await missingChromium(), () => {
  const fixture = forAllTests(() => openFixture(), 120_000);
  let user: string;
  let puts: URL[];
  beforeEach(() => {
    user = newUser();
    puts = [];
    fixture.page.removeAllListeners('request');
    fixture.page.on('request', (request) => {
      if (request.method() === 'PUT') puts.push(new URL(request.url()));
    });
  });

  test.each([
    ['put', 2 * PART_UNIT_BYTES, 1],
    ['parts', 2 * PART_UNIT_BYTES + 1, 3],
  ])('uploads a file once with the recipe %s', async (recipe, sizeBytes, requests) => {
    const { open, file, upload, stored } = fixture;
    const bytes = Buffer.alloc(sizeBytes, user);
    const path = await file('März 1.pdf', bytes);
    await open(user, { path: `/uppy.html?recipe=${recipe}` });
    expect(await upload(path)).toBe('1 uploaded');
    expect(puts).toHaveLength(requests);
    expect(await stored(user)).toEqual({
      filename: 'März 1.pdf',
      sha256: createHash('sha256').update(bytes).digest('hex'),
    });
    expect(await upload(path)).toBe('1 uploaded');
    expect(puts).toHaveLength(requests);
  });

  test.each(['put', 'parts'])('stops when the user cancels, with the recipe %s', async (recipe) => {
    const { page, open, file, upload, slowConnection } = fixture;
    await open(user, { path: `/uppy.html?recipe=${recipe}` });
    const path = await file('film.mp4', Buffer.alloc(2 * PART_UNIT_BYTES + 1, user));
    await using _slow = await slowConnection(PART_UNIT_BYTES);
    const begun = page.waitForEvent('request', (request) => request.method() === 'PUT');
    const ended = page.waitForEvent('requestfailed', (request) => request.method() === 'PUT');
    const outcome = upload(path);
    await begun;
    await page.evaluate('uppy.cancelAll()');
    await ended;
    expect(await outcome).toBe('0 uploaded');
  });

  test.each(['put', 'parts'])('shows the error of the service with the recipe %s', async (recipe) => {
    const { open, file, upload } = fixture;
    await open(user, { path: `/uppy.html?recipe=${recipe}` });
    await fixture.page.context().clearCookies();
    expect(await upload(await file('secret.txt', user))).toContain('sign in first');
    expect(puts).toEqual([]);
  });
});
