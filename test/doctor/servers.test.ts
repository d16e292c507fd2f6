/** The doctor on the S3 server under test, on moto, and on servers that cannot be used. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { startPostgres } from '../../src/dev/postgres/postgres.ts';
import { migrateAt } from '../../src/postgres/migrate.ts';
import { s3Client } from '../contract/object-store-client.ts';
import { openTestBucket } from '../harness/bucket.ts';
import { dataDirectory } from '../harness/data-directory.ts';
import { execute } from '../harness/database.ts';
import { startMoto } from '../servers/moto.ts';
import { diagnose, titled } from './run-doctor.ts';

vi.setConfig({ testTimeout: 60_000 });

const ORIGIN = 'https://app.example.com';

const server = process.env.TEST_S3_ENDPOINT ? (process.env.TEST_S3_SERVER ?? 'rgw') : 'development';
// MinIO and Swift know no PutBucketCors.
const hasCors = !['minio', 'swift'].includes(server);

await using stack = new AsyncDisposableStack();
// The Postgres of the other tests loses committed rows when its machine crashes, which breaks a guarantee.
const directory = stack.use(await dataDirectory());
const database = await startPostgres({ directory: join(directory.path, 'postgres') });
stack.defer(() => database.stop());
await migrateAt({ urls: [database.url] });
const corsRules = [
  {
    AllowedOrigins: [ORIGIN],
    AllowedMethods: ['PUT' as const, 'GET' as const],
    AllowedHeaders: ['content-type', 'content-md5'],
  },
];
const bucket = await openTestBucket(hasCors ? { corsRules } : {});
stack.defer(() => bucket.stop());
const moto = await startMoto();
if (moto !== undefined) stack.use(moto);
const owned = stack.move();
afterAll(() => owned.disposeAsync());

const PUBLISH = 'an upload URL cannot publish its object (x-amz-acl)';
const COPY = 'an upload URL cannot copy another object (x-amz-copy-source)';
const LISTING = 'open multipart uploads are listed';

/** The guarantees that do not hold, by the name of the server in TEST_S3_SERVER. */
const BROKEN: Record<string, string[]> = {
  development: [],
  minio: [COPY, LISTING],
  rgw: [PUBLISH, COPY],
  versitygw: [],
  swift: [],
};
const broken = BROKEN[server] ?? [];

describe(`the S3 server under test (${server})`, () => {
  it('keeps every guarantee but the known ones, and nothing is left behind', async () => {
    const run = await diagnose(bucket, database.url);
    expect(titled(run, 'no')).toEqual(broken);
    expect(titled(run, 'cannot tell')).toEqual([]);
    expect(
      run.report.database.rows.filter(({ isAdvice }) => !isAdvice).map(({ answer }) => answer),
    ).not.toContain('no');
    expect(run.code).toBe(broken.length === 0 ? 0 : 1);
    expect(run.report.left).toEqual([]);
    expect(await bucket.keys()).toEqual([]);
    expect(await bucket.uploads()).toEqual([]);
  });

  it('needs about 50 requests, 5 MiB and seconds', async () => {
    const { requests, bytes, seconds } = (await diagnose(bucket, database.url)).report.sent;
    expect(requests).toBeLessThan(60);
    expect(bytes).toBeLessThan(10 * 1024 ** 2);
    // The limit is generous, because other tests run at the same time.
    expect(seconds).toBeLessThan(30);
  });

  it.skipIf(!hasCors)('lets pages of one origin upload', async () => {
    const CORS = 'pages of the given origin may upload (CORS)';
    const answerFor = async (origin: string, environment = {}) => {
      const run = await diagnose(bucket, database.url, { args: ['--origin', origin], environment });
      return run.report.bucket.rows.find(({ title }) => title === CORS)?.answer;
    };
    expect(await answerFor(ORIGIN)).toBe('yes');
    expect(await answerFor('https://other.example.com')).toBe('no');
    const demanded = { S3_UPLOAD_HEADERS: 'x-amz-acl=private' };
    expect(await answerFor(ORIGIN, demanded), 'the rules do not allow that header').toBe('no');
  });

  it('tells whether URLs with S3_PUBLIC_ENDPOINT reach the bucket', async () => {
    const answerFor = async (endpoint: string) => {
      const environment = { S3_PUBLIC_ENDPOINT: endpoint };
      const { report } = await diagnose(bucket, database.url, { environment });
      const row = report.bucket.rows.find(({ title }) => title.includes('S3_PUBLIC_ENDPOINT'));
      return row?.answer;
    };
    expect(await answerFor(bucket.endpoint.replace('127.0.0.1', 'localhost'))).toBe('yes');
    expect(await answerFor(`${bucket.endpoint}/elsewhere`)).toBe('no');
    expect(await answerFor('http://127.0.0.1:1')).toBe('cannot tell');
  });

  it.each([
    ['a wrong secret', { credentials: { ...bucket.credentials, secretAccessKey: 'wrong' } }],
    ['a missing bucket', { bucket: 'a-bucket-that-is-missing' }],
  ])('with %s tells the cause first, and examines nothing else', async (_, wrong) => {
    const run = await diagnose({ ...bucket, ...wrong }, database.url);
    expect(run.code).toBe(1);
    expect(titled(run, 'no')).toEqual(['the bucket is there, and S3 accepts the keys']);
    expect(titled(run, 'yes')).toEqual([]);
    // The rest are the two lists that find what earlier runs left behind.
    expect(run.report.sent.requests).toBe(3);
  });

  it('prints a command for a missing bucket that names bucket, region and endpoint', async () => {
    const { lines } = await diagnose({ ...bucket, bucket: 'a-bucket-that-is-missing' }, database.url);
    const { region, endpoint } = bucket;
    expect(lines.map((line) => line.trim())).toContain(
      `aws s3api create-bucket --bucket a-bucket-that-is-missing --region ${region} --endpoint-url ${endpoint}`,
    );
  });
});

it.skipIf(server !== 'rgw')(
  'a Ceph RGW with the settings of src/doctor/README.md keeps every guarantee',
  async () => {
    const guarded = await openTestBucket();
    const client = s3Client({ ...guarded, forcePathStyle: true });
    const policy = await readFile(join(import.meta.dirname, '../contract/bucket-policy.json'), 'utf8');
    const Policy = policy.replaceAll('YOUR-BUCKET', guarded.bucket);
    await client.send(new PutBucketPolicyCommand({ Bucket: guarded.bucket, Policy }));
    const PublicAccessBlockConfiguration = { IgnorePublicAcls: true };
    await client.send(
      new PutPublicAccessBlockCommand({ Bucket: guarded.bucket, PublicAccessBlockConfiguration }),
    );
    client.destroy();
    const run = await diagnose(guarded, database.url);
    await guarded.stop();
    expect({ broken: titled(run, 'no'), code: run.code }).toEqual({ broken: [], code: 0 });
  },
);

describe.skipIf(moto === undefined)('moto', () => {
  it('breaks the guarantees of signatures, of MD5s and of downloads, and nothing is left behind', async () => {
    if (moto === undefined) return;
    const target = { ...moto, bucket: 'files', forcePathStyle: true };
    const client = s3Client(target);
    await client.send(new CreateBucketCommand({ Bucket: 'files' }));
    const run = await diagnose(target, database.url);
    expect(titled(run, 'no')).toEqual([
      'a URL with a wrong signature is refused',
      'a URL is refused after its expiry',
      PUBLISH,
      COPY,
      'a PUT of other bytes than its Content-MD5 is refused',
      'a PUT with another Content-MD5 than its URL signs is refused',
      'a PUT with another Content-Type than its URL signs is refused',
      'a PUT of another length than its URL signs is refused',
      'a part with other bytes than its Content-MD5 is refused',
      'a download is an attachment with its own name (Content-Disposition)',
      'a download URL replaces the headers that the uploader stored',
    ]);
    expect(run.code).toBe(1);
    expect(run.report.left).toEqual([]);
    expect((await client.send(new ListObjectsV2Command({ Bucket: 'files' }))).Contents).toBeUndefined();
    expect((await client.send(new ListMultipartUploadsCommand({ Bucket: 'files' }))).Uploads).toBeUndefined();
    client.destroy();
  });
});

it.each(['synchronous_commit = off', 'zero_damaged_pages = on'])(
  'says no to %s of Postgres',
  async (setting) => {
    const alter = `alter database ${new URL(database.url).pathname.slice(1)}`;
    await execute(database.url, `${alter} set ${setting}`);
    const run = await diagnose(bucket, database.url);
    await execute(database.url, `${alter} reset all`);
    const broken = run.report.database.rows.filter(({ answer, isAdvice }) => answer === 'no' && !isAdvice);
    expect(broken.map(({ seen }) => seen)).toEqual([setting]);
    expect(run.code).toBe(1);
  },
);

it('ends with code 3 if no answer is no, and one cannot be told', async () => {
  const run = await diagnose({ ...bucket, endpoint: 'http://127.0.0.1:1' }, database.url);
  expect(run.code).toBe(3);
  expect(run.report.verdict).toBe('unknown');
  expect(run.lines).toContain('Whether every guarantee holds cannot be told.');
});

it('tells nothing if neither server can be reached', async () => {
  const nowhere = { ...bucket, endpoint: 'http://127.0.0.1:1' };
  const run = await diagnose(nowhere, 'postgres://files:secret@127.0.0.1:1/files');
  expect(new Set(run.report.bucket.rows.map(({ answer }) => answer))).toEqual(new Set(['cannot tell']));
  const [reachable, ...others] = run.report.database.rows;
  expect(reachable).toMatchObject({ title: 'Postgres accepts connections', answer: 'no' });
  expect(new Set(others.map(({ answer }) => answer))).toEqual(new Set(['cannot tell']));
  expect(run.code).toBe(1);
  expect(JSON.stringify(run.report)).not.toContain('secret');
});
