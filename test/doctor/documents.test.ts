/** The output that src/doctor/README.md shows is the output of a real run. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { afterAll, expect, it, vi } from 'vitest';
import { s3Client } from '../contract/object-store-client.ts';
import { main } from '../e2e/main.ts';
import { openTestBucket } from '../harness/bucket.ts';
import { dataDirectory } from '../harness/data-directory.ts';
import { createDatabase } from '../harness/database.ts';
import { startMoto } from '../servers/moto.ts';
import { diagnose } from './run-doctor.ts';

vi.setConfig({ testTimeout: 90_000 });

const README = await readFile(join(import.meta.dirname, '../../src/doctor/README.md'), 'utf8');

await using stack = new AsyncDisposableStack();
const database = stack.use(await createDatabase());
const moto = await startMoto();
if (moto !== undefined) stack.use(moto);
const owned = stack.move();
afterAll(() => owned.disposeAsync());

function shown(name: string): string[] {
  const [, code = ''] = new RegExp(`<!-- doctor: ${name} -->\n\`\`\`\n([\\s\\S]*?)\`\`\``).exec(README) ?? [];
  return code.trimEnd().split('\n');
}

/** The part of the report that begins with this word and ends at an empty line, with the values of the document. */
function part(lines: readonly string[], begin: string): string[] {
  const from = lines.findIndex((line) => line.startsWith(begin));
  const end = lines.indexOf('', from);
  return lines.slice(from, end === -1 ? undefined : end).map((line) =>
    line
      .replace(/^Bucket \S+ \(region \S+\)/, 'Bucket http://127.0.0.1:9000/files/ (region us-east-1)')
      .replace(/--bucket missing --region \S+/, '--bucket files --region us-east-1')
      .replace(/--endpoint-url \S+/, '--endpoint-url http://127.0.0.1:9000')
      .replace(/: \d+ s apart/, ': 0 s apart')
      .replace(/: \d+\.\d+ ms/, ': 0.5 ms')
      .replace(/ or later: \S+/, ' or later: 18.4')
      .replace(/: \d+ of \d+ are open/, ': 4 of 100 are open'),
  );
}

it.skipIf(process.env.TEST_S3_ENDPOINT !== undefined)('for a bucket that is missing', async () => {
  const bucket = await openTestBucket();
  const { lines } = await diagnose({ ...bucket, bucket: 'missing' }, database.url);
  await bucket.stop();
  expect(part(lines, 'Bucket')).toEqual(shown('missing'));
});

it.skipIf(process.env.TEST_S3_SERVER !== 'rgw')('for a Ceph RGW', async () => {
  const bucket = await openTestBucket();
  const { lines } = await diagnose(bucket, database.url);
  await bucket.stop();
  expect(part(lines, 'Bucket')).toEqual(shown('rgw'));
});

it.skipIf(moto === undefined)('for moto', async () => {
  if (moto === undefined) return;
  const target = { ...moto, bucket: 'files', forcePathStyle: true };
  const client = s3Client(target);
  await client.send(new CreateBucketCommand({ Bucket: 'files' }));
  client.destroy();
  const { lines } = await diagnose(target, database.url);
  expect(part(lines, 'Bucket')).toEqual(shown('moto'));
});

it('for the embedded Postgres, whose schema is made before', async () => {
  await using directory = await dataDirectory();
  const { code, stdout, stderr } = await main('doctor', { DATA_DIR: directory.path });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(part(stdout.split('\n'), 'Database')).toEqual(shown('postgres'));
  expect(stdout).toContain('Every guarantee holds.');
  expect(stdout).toContain('Nothing was left behind.');
});
