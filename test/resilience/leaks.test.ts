import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import pg from 'pg';
import { describe, expect, test, vi } from 'vitest';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { createDatabase } from '../harness/database.ts';
import { failureOf } from '../harness/failure.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { sendHeaders } from '../harness/headers.ts';
import { startTestObjectStore, testCredentials } from '../harness/object-store.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { startTestService } from '../harness/service.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { type FileClient, upload } from '../harness/upload.ts';
import { startComplainingStore } from './complaining-store.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 60_000 });

const TOKEN = 'the-token-of-the-gateway-0123';
const WRONG_TOKEN = 'a-mistyped-token-of-the-gateway';
const SESSION_TOKEN = 'FwoGZXIvYXdzEBYaDH+session/token==';
const SDK = pathToFileURL(join(import.meta.dirname, '../e2e/print-spans.ts')).href;

/** An error text of a trigger, which contains a password. Postgres passes such texts on to its clients. */
const IN_A_TRIGGER = 'dblink to postgres://audit:the-password-of-audit@db/audit failed';

/** Texts of drivers, of SQL and of stack traces, which no caller may receive. */
const INTERNALS = [
  /\b(select|insert|update|delete|returning)\b.*\b(from|into|set|files)\b/i,
  /relation|constraint|syntax|trigger|dblink|pg_|42P01|P0001/,
  /ECONN|EPIPE|socket|SignatureDoesNotMatch|AWS4-HMAC|<\?xml/,
  /\.(ts|js):\d+|node_modules| {4}at /,
];

test('no secret is in a log, trace, metric or answer, and no driver’s text in an answer', async (context) => {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const credentials = { ...testCredentials, sessionToken: SESSION_TOKEN };
  const store = resources.adopt(await startTestObjectStore({ credentials: [credentials] }), ({ stop }) =>
    stop(),
  );
  const s3 = resources.use(await startComplainingStore(store.endpoint, [credentials.secretAccessKey]));
  const proxy = resources.use(await startFaultProxy({ port: Number(new URL(database.url).port) }));
  const databaseUrl = new URL(database.url);
  databaseUrl.port = String(proxy.port);
  const service = resources.use(
    await startService({
      environment: {
        DATABASE_URL: databaseUrl.href,
        MIGRATE_ON_START: 'true',
        ...s3Environment({ ...store, credentials, endpoint: s3.endpoint }),
        AWS_SESSION_TOKEN: SESSION_TOKEN,
        GATEWAY_AUTH: 'token',
        GATEWAY_TOKENS: TOKEN,
        VERIFICATION_TTL_SECONDS: '0',
        SWEEP_INTERVAL_SECONDS: '1',
        LOG_LEVEL: 'trace',
        NODE_OPTIONS: `--import=${SDK}`,
      },
    }),
  );
  const sql = new pg.Client(database.url);
  await sql.connect();
  resources.defer(() => sql.end());
  const answers: string[] = [];
  const clients = [TOKEN, WRONG_TOKEN].map((token) => bothProtocols(service, token));
  const [trusted = [], impostors = []] = clients;
  const [files] = trusted;
  if (files === undefined) throw new Error('no client');
  /** Makes the call over both protocols, and keeps each error as its caller sees it. */
  const fail = async (callers: FileClient[], call: (client: FileClient) => Promise<unknown>) => {
    for (const client of callers) {
      const error = ConnectError.from(
        await call(client).then(
          () => undefined,
          (failure: unknown) => failure,
        ),
      );
      answers.push(asSeen(error));
    }
  };

  const s3Key = await upload(files, 'a.txt', 'bytes');
  const { presignedUrl: download } = await files.createPresignedDownload({ s3Key });
  const pending = await files.createPresignedUpload(fileOf('never.txt', 'never sent'));

  await fail(impostors, (client) => client.listFiles({}));
  answers.push(...(await misuse(service, download)));
  await fail(trusted, (client) => client.getFile({ s3Key: download }));
  // Short enough for a key, so that the error is about a file and contains the key.
  const short = `${s3Key}?X-Amz-Signature=${parameterOf(download, 'X-Amz-Signature')}`;
  await fail(trusted, (client) => client.getFile({ s3Key: short }));
  await fail(trusted, (client) =>
    client.createPresignedUpload({ filename: download, mimeType: download, md5: TOKEN }),
  );

  for (const status of [500, 403]) {
    const doomed = await files.createPresignedUpload(fileOf(`${status}.txt`, `${status}`));
    s3.complain(status);
    // The delete comes first, before the circuit breaker opens. S3 answers a DELETE with an error text.
    await files.deleteFile({ s3Key: doomed.s3Key });
    await fail(trusted, (client) => client.createPresignedDownload({ s3Key }));
    await files.listFiles({});
    s3.complain(0);
    await vi.waitFor(() => files.createPresignedDownload({ s3Key }), { timeout: 10_000, interval: 100 });
  }

  await sql.query(`create function complain() returns trigger language plpgsql as
    $$ begin raise exception '${IN_A_TRIGGER}' using detail = '${IN_A_TRIGGER}'; end $$`);
  await sql.query(
    'create trigger complaining before insert on files for each row execute function complain()',
  );
  await fail(trusted, (client) => client.createPresignedUpload(fileOf('b.txt', 'b')));
  await sql.query('alter table files rename to gone');
  await fail(trusted, (client) => client.listFiles({}));
  await fail(trusted, (client) => client.getFile({ s3Key }));
  await sql.query('alter table gone rename to files');
  await proxy.set({ kind: 'refused' });
  await fail(trusted, (client) => client.listFiles({}));
  await fail(trusted, (client) => client.deleteFile({ s3Key }));
  await sleep(1_500); // a round of the sweeper and of the health checks
  const pages = await Promise.all(['/metrics', '/readyz', '/livez'].map((path) => pageOf(service, path)));
  await service.stop();

  const printed = service.printed.stdout + service.printed.stderr;
  const spans = service.log().filter(({ msg }) => msg === 'span').length;
  // Proves that the log contains the errors, so that the search for secrets below is meaningful.
  for (const word of [
    ...['call failed', 'STORAGE_UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'GATEWAY_UNTRUSTED'],
    ...[
      'S3 did not answer',
      'refused: ',
      'dblink to postgres',
      'relation \\"files\\" does not exist',
      'ECONN',
    ],
  ]) {
    expect(printed).toContain(word);
  }
  expect(spans).toBeGreaterThan(20);
  expect(pages[0]).toContain('files_calls_total{');

  const secrets = {
    'signature of an upload': parameterOf(pending.presignedUrl, 'X-Amz-Signature'),
    'signature of a download': parameterOf(download, 'X-Amz-Signature'),
    'signature in a complaint': '5e'.repeat(32),
    'any signature': /Signature=(?!\[redacted\])/i,
    'any credential': /Credential=(?!\[redacted\])/i,
    'session token': SESSION_TOKEN,
    'session token in a URL': encodeURIComponent(SESSION_TOKEN),
    token: TOKEN,
    'wrong token': WRONG_TOKEN,
    'key of S3': credentials.secretAccessKey,
    'password of Postgres': databaseUrl.password,
    'password in a trigger': 'the-password-of-audit',
  };
  const places = { log: printed, answers: answers.join('\n'), pages: pages.join('\n') };
  const found = Object.entries(places).flatMap(([place, text]) =>
    Object.entries(secrets)
      .filter(([, secret]) => (typeof secret === 'string' ? text.includes(secret) : secret.test(text)))
      .map(([secret]) => `${secret} in ${place}`),
  );
  for (const secret of Object.values(secrets)) expect(String(secret).length).toBeGreaterThan(8);
  expect(found).toEqual([]);

  for (const code of ['unauthenticated', 'not_found', 'invalid_argument', 'unavailable', 'internal']) {
    expect(answers.some((answer) => answer.startsWith(`[${code}]`))).toBe(true);
  }
  expect(answers.filter((answer) => INTERNALS.some((internal) => internal.test(answer)))).toEqual([]);
  report(
    context,
    'nothing leaks',
    `${Object.keys(secrets).length} secrets sought in ${Math.round(printed.length / 1_024)} KiB of log, ${spans} spans and ${answers.length} refusals`,
  );
});

describe('a download is an attachment', () => {
  const service = forAllTests(() => startTestService());

  test.each([
    ['page.html', 'text/html', 'page.html'],
    ['drawing.svg', 'image/svg+xml', 'drawing.svg'],
    ['script.js', 'text/javascript', 'script.js'],
    ['a "quoted"; filename=x.html', 'text/html', 'a _quoted_; filename=x.html'],
    ['line%0d%0aset-cookie: a=b.html', 'text/html', 'line_0d_0aset-cookie: a=b.html'],
    ['Grüße 日本 🗂.html', 'text/html; charset=utf-8', 'Gr__e __ _.html'],
  ])('of any type: %s', async (filename, mimeType, inAscii) => {
    const client = service.as(newUser());
    const asked = await client.createPresignedUpload({ filename, mimeType, md5: md5(filename) });
    expect((await put(asked, filename)).status).toBe(200);
    const { presignedUrl } = await client.createPresignedDownload({ s3Key: asked.s3Key });

    const { status, headers } = await fetch(presignedUrl);
    expect([status, headers.get('content-type'), headers.get('set-cookie')]).toEqual([200, mimeType, null]);
    const [kind, ascii, extended] =
      /^(\w+); filename="([^"]*)"; filename\*=UTF-8''(\S+)$/
        .exec(headers.get('content-disposition') ?? '')
        ?.slice(1) ?? [];
    expect([kind, ascii, decodeURIComponent(extended ?? '')]).toEqual(['attachment', inAscii, filename]);
  });

  test('a download URL that was edited to show the file inline is refused by S3', async (context) => {
    const client = service.as(newUser());
    const asked = await client.createPresignedUpload({
      filename: 'page.html',
      mimeType: 'text/html',
      md5: md5('page'),
    });
    await put(asked, 'page');
    const { presignedUrl } = await client.createPresignedDownload({ s3Key: asked.s3Key });
    const edits: ((query: URLSearchParams) => void)[] = [
      (query) => query.delete('response-content-disposition'),
      (query) => query.set('response-content-disposition', 'inline'),
      (query) => query.append('response-content-disposition', 'inline'),
      (query) => query.set('response-content-type', 'image/svg+xml'),
      (query) => query.delete('response-content-encoding'),
      (query) => query.set('Response-Content-Disposition', 'inline'),
      (query) => query.set('X-Amz-Expires', '604800'),
    ];
    for (const edit of edits) {
      const url = new URL(presignedUrl);
      edit(url.searchParams);
      expect((await fetch(url)).status, `${edit}`).toBe(403);
    }
    expect((await fetch(presignedUrl)).status).toBe(200);
    report(context, 'refused by S3', `${edits.length} ways to edit`);
  });

  test.each(['a\r\nset-cookie: b.html', 'a\nb.html', 'a\rb.html', 'a\0.html'])(
    'a filename with a line break or NUL is refused: %j',
    async (filename) => {
      const asked = { filename, mimeType: 'text/html', md5: md5('x') };
      expect(await failureOf(service.as(newUser()).createPresignedUpload(asked))).toMatchObject({
        reason: 'INVALID_FILENAME',
      });
    },
  );
});

function fileOf(filename: string, bytes: string) {
  return { filename, mimeType: 'text/plain', md5: md5(bytes) };
}

function bothProtocols(service: ServiceProcess, token: string): FileClient[] {
  const headers = { 'x-user-id': 'ada', 'x-gateway-token': token };
  const grpc = createGrpcTransport({
    baseUrl: `http://${service.grpc}`,
    interceptors: [sendHeaders(headers)],
  });
  return [service.client(headers), createClient(FileService, grpc)];
}

/** Everything that a caller receives: code, message, raw details and trailers. */
function asSeen(error: ConnectError): string {
  const details = error.details.map((detail) =>
    'value' in detail && detail.value instanceof Uint8Array
      ? Buffer.from(detail.value).toString('latin1')
      : JSON.stringify(detail),
  );
  return [error.message, ...details, ...[...error.metadata].map(String)].join(' | ');
}

/** Sends requests that confuse a download URL with a call. @returns the answers */
async function misuse(service: ServiceProcess, url: string): Promise<string[]> {
  const { search } = new URL(url);
  const unknown = await fetch(`${service.http}/files.v1.FileService/${search}`);
  expect(unknown.status).toBe(404);
  const headers = { 'content-type': 'application/json', 'x-user-id': 'ada', 'x-gateway-token': TOKEN };
  const garbage = { method: 'POST', headers, body: url };
  const refused = await fetch(`${service.http}/files.v1.FileService/ListFiles${search}`, garbage);
  expect(refused.status).toBe(400);
  return [await unknown.text()];
}

async function pageOf(service: ServiceProcess, path: string): Promise<string> {
  return (await fetch(`${service.http}${path}`)).text();
}

function parameterOf(url: string, name: string): string {
  return new URL(url).searchParams.get(name) ?? '';
}
