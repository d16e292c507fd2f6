import { expect, it } from 'vitest';
import { coalescedPage } from '../../src/rpc/http/coalesced-page.ts';

it('renders a page once for all requests of an iteration of the event loop, and again in the next', async () => {
  let made = 0;
  const page = coalescedPage(async () => ({ status: 200, contentType: 'text/plain', body: `${++made}` }));
  const together = await Promise.all([page(), page(), Promise.resolve().then(page)]);
  expect(together.map(({ body }) => body)).toEqual(['1', '1', '1']);
  expect((await page()).body).toBe('2');
});

it('renders a page again after its rendering failed', async () => {
  let renderings = 0;
  const page = coalescedPage(async () => {
    if (++renderings === 1) throw new Error('not now');
    return { status: 200, contentType: 'text/plain', body: 'ok' };
  });
  await expect(page()).rejects.toThrow('not now');
  expect((await page()).body).toBe('ok');
});
