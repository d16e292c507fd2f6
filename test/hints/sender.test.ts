import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { total } from '../harness/metrics.ts';
import { startTestService } from '../harness/service.ts';
import { ask, tell } from '../resilience/raw-calls.ts';
import { PATH, send, TOKEN } from './send.ts';

const service = forAllTests(() => startTestService({ STORAGE_EVENTS_TOKEN: TOKEN }));

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
const escaped = encodeURIComponent(TOKEN);

describe('a sender is known by its token', () => {
  it.each([
    ['as a Bearer token', { headers: { authorization: `Bearer ${TOKEN}` } }],
    ['with the scheme in lower case', { headers: { authorization: `bearer ${TOKEN}` } }],
    ['as the password of any user', { headers: { authorization: basic(`ceph:${TOKEN}`) } }],
    ['as the password of no user', { headers: { authorization: basic(`:${TOKEN}`) } }],
    ['at the end of the path', { path: `${PATH}/${TOKEN}`, headers: {} }],
    ['at the end of the path, before a query', { path: `${PATH}/${TOKEN}?topic=1`, headers: {} }],
    ['at the end of the path, escaped', { path: `${PATH}/${escaped}`, headers: {} }],
  ])('%s', async (_, how) => {
    expect(await send(service, {}, how)).toMatchObject({ status: 204, text: '' });
  });

  it.each([
    ['without a token', { headers: {} }],
    ['with another token', { headers: { authorization: `Bearer ${TOKEN}x` } }],
    ['with the beginning of the token', { headers: { authorization: `Bearer ${TOKEN.slice(0, -1)}` } }],
    ['with an empty token', { headers: { authorization: 'Bearer ' } }],
    ['with two tokens', { headers: { authorization: `Bearer ${TOKEN} ${TOKEN}` } }],
    ['with the token alone', { headers: { authorization: TOKEN } }],
    ['with the token as a user', { headers: { authorization: basic(`${TOKEN}:x`) } }],
    ['with the token and no colon', { headers: { authorization: basic(TOKEN) } }],
    ['with another password', { headers: { authorization: basic('ceph:password') } }],
    ['with another scheme', { headers: { authorization: `Digest ${TOKEN}` } }],
    ['with another token in the path', { path: `${PATH}/x`, headers: {} }],
    ['with a malformed path', { path: `${PATH}/%zz`, headers: {} }],
    ['with an empty end of the path', { path: `${PATH}/`, headers: {} }],
    ['with the token in the query', { path: `${PATH}?token=${escaped}`, headers: {} }],
    [
      'with the token in the path but another in the header',
      { path: `${PATH}/${TOKEN}`, headers: { authorization: 'Bearer x' } },
    ],
  ])('%s it is refused with 401', async (_, how) => {
    expect(await send(service, {}, how)).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Bearer realm="storage-events", Basic realm="storage-events"' },
      text: 'the token is missing or wrong\n',
    });
  });

  it('before a byte of the body is sent', async () => {
    const { outcome } = await tell(
      service.app.httpPort,
      `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n`,
    );
    expect(outcome).toBe('401');
  });

  it('over HTTP/2, too', async () => {
    const { httpPort } = service.app;
    expect(await ask(httpPort, { ':path': PATH })).toMatchObject({ outcome: '401' });
    const headers = { ':path': PATH, authorization: `Bearer ${TOKEN}` };
    expect(await ask(httpPort, headers, Buffer.from('{}'))).toMatchObject({ outcome: '204' });
    expect(await ask(httpPort, { ':path': `${PATH}/${TOKEN}` }, Buffer.from('{}'))).toMatchObject({
      outcome: '204',
    });
    expect(await ask(httpPort, { ...headers, ':method': 'HEAD' })).toMatchObject({ outcome: '405' });
  });
});

describe('other requests for the path', () => {
  it.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])('%s answers 405 with Allow: POST', async (method) => {
    expect(await send(service, '', { method })).toMatchObject({ status: 405, headers: { allow: 'POST' } });
  });

  it('a longer name is another path', async () => {
    expect(await send(service, {}, { path: `${PATH}s` })).toMatchObject({ status: 501 });
  });

  it('a page of another origin may not send messages', async () => {
    await using other = await startTestService({
      STORAGE_EVENTS_TOKEN: TOKEN,
      CORS_ALLOWED_ORIGINS: 'https://files.example',
    });
    const headers = { origin: 'https://files.example', 'access-control-request-method': 'POST' };
    expect(await send(other, '', { method: 'OPTIONS', headers })).toMatchObject({ status: 401 });
  });

  it('by another host name than a loopback name is refused with GATEWAY_AUTH=none', async () => {
    const headers = { host: 'evil.example', authorization: `Bearer ${TOKEN}` };
    expect(await send(service, {}, { headers })).toMatchObject({ status: 421 });
  });

  it.each([PATH, `${PATH}/${TOKEN}`])('%s answers 404 without STORAGE_EVENTS_TOKEN', async (path) => {
    await using off = await startTestService();
    expect(await send(off, {}, { path })).toMatchObject({ status: 404, text: '' });
  });
});

it('a body that does not arrive within 5 s ends its connection', async () => {
  const socket = connect(service.app.httpPort, '127.0.0.1');
  const begunMs = performance.now();
  socket.write(`POST ${PATH}/${TOKEN} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{`);
  socket.on('error', () => undefined).resume();
  await new Promise((resolve) => socket.once('close', resolve));
  // Long before an idle connection is closed, after a minute or more.
  expect(performance.now() - begunMs).toBeLessThan(20_000);
});

it('each message is counted by its outcome', async () => {
  await using counted = await startTestService({ STORAGE_EVENTS_TOKEN: TOKEN });
  const Records = [{ s3: { bucket: { name: counted.bucket.bucket }, object: { key: 'ada_a' } } }];
  await send(counted, { Records });
  await send(counted, {});
  await send(counted, {}, { headers: {} });
  await send(counted, 'no JSON');
  await sleep(0);
  const count = (outcome: string) => total(counted.httpUrl, 'files_storage_events_total', { outcome });
  expect(await Promise.all(['taken', 'ignored', 'refused', 'failed'].map(count))).toEqual([1, 1, 2, 0]);
});
