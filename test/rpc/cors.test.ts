import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService, type TestService } from '../harness/service.ts';

const ORIGIN = 'https://app.example.com';
const RPC = '/files.v1.FileService/ListFiles';

const service = forAllTests(() =>
  startTestService({ CORS_ALLOWED_ORIGINS: `${ORIGIN}, http://localhost:5173` }),
);
const without = forAllTests(() => startTestService());

async function ask(
  { httpUrl }: TestService,
  method: string,
  headers: Record<string, string>,
  body = '',
  path = RPC,
): Promise<IncomingMessage> {
  const call = httpRequest(new URL(path, httpUrl), { method, headers }).end(body);
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  answer.resume();
  return answer;
}

const corsHeaders = ({ headers }: IncomingMessage) =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'));

const preflight = (origin: string, headers: string) => ({
  origin,
  'access-control-request-method': 'POST',
  'access-control-request-headers': headers,
});
const call = (origin: string, contentType = 'application/json') => ({
  origin,
  'content-type': contentType,
  'x-user-id': 'ada',
});

describe('a page of an allowed origin', () => {
  it.each([
    ['Connect', 'connect-protocol-version,connect-timeout-ms,content-type'],
    ['gRPC-Web', 'content-type,grpc-timeout,x-grpc-web,x-user-agent'],
    ['a gateway with tokens', 'authorization,content-type,traceparent'],
  ])('may send the headers of %s', async (_, headers) => {
    const answer = await ask(service, 'OPTIONS', preflight(ORIGIN, headers));
    expect(answer.statusCode).toBe(204);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': headers,
      'access-control-max-age': '7200',
      vary: 'Origin',
    });
  });

  it.each(['application/json', 'application/grpc-web+proto', 'application/grpc-web-text', 'text/plain'])(
    'may read answers and errors of %s',
    async (contentType) => {
      const { headers } = await ask(service, 'POST', call('http://localhost:5173', contentType), '{}');
      expect(headers['access-control-allow-origin']).toBe('http://localhost:5173');
      const exposed = String(headers['access-control-expose-headers']).toLowerCase().split(', ');
      expect(exposed).toEqual(
        expect.arrayContaining(['grpc-status', 'grpc-message', 'grpc-status-details-bin']),
      );
    },
  );
});

it.each([
  ['another origin', 'https://evil.example'],
  ['a longer name', `${ORIGIN}.evil.example`],
  ['an opaque origin', 'null'],
])('a page of %s gets no CORS headers', async (_, origin) => {
  const answers = [
    await ask(service, 'OPTIONS', preflight(origin, 'content-type')),
    await ask(service, 'POST', call(origin), '{}'),
  ];
  expect(answers.flatMap(corsHeaders)).toEqual([]);
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([405, 200]);
});

it('pages for operators have no CORS headers', async () => {
  expect(corsHeaders(await ask(service, 'GET', { origin: ORIGIN }, '', '/metrics'))).toEqual([]);
});

it('without CORS_ALLOWED_ORIGINS no answer has CORS headers', async () => {
  const answers = [
    await ask(without, 'OPTIONS', preflight(ORIGIN, 'content-type')),
    await ask(without, 'POST', call(ORIGIN), '{}'),
  ];
  expect(answers.flatMap(corsHeaders)).toEqual([]);
  expect(answers[0]?.statusCode).toBe(405);
});

it.each([
  '*',
  'https://*.example.com',
  'app.example.com',
  'https://app.example.com/',
  'https://APP.example.com',
  'null',
])('CORS_ALLOWED_ORIGINS=%s stops the start, because no browser sends that origin', (value) => {
  expect(() => readConfig({ CORS_ALLOWED_ORIGINS: value })).toThrow(/CORS_ALLOWED_ORIGINS must be origins/);
});
