import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { startEmbedded } from '../../src/dev/embedded.ts';
import { PIPELINED_REQUESTS_MAX } from '../../src/rpc/limits/limits.ts';
import { processesOf } from '../harness/processes.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { download, upload } from '../harness/upload.ts';

/** The tests start the service with its own Postgres: seconds on an idle machine, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

const NO_PROCESS = -1;

/** Without a limit, the requests would grow the process by several times as much. */
const GROWTH_MAX_MB = 50;

test('when the object store fails to start, no Postgres stays and the directory is unlocked', async () => {
  await using directory = await temporaryDirectory();
  const inTheWay = join(directory.path, 's3', 'buckets');
  await mkdir(join(directory.path, 's3'), { mode: 0o700 });
  await writeFile(inTheWay, 'a file where a directory is to be');
  const options = { dataDirectory: directory.path, region: 'us-east-1', log: () => {}, sharesServers: false };
  await expect(startEmbedded(options)).rejects.toThrow(`${inTheWay} is not a directory`);
  expect(await processesOf(NO_PROCESS, directory.path)).toEqual([]);

  await rm(inTheWay);
  const embedded = await startEmbedded(options);
  await embedded.stop();
  expect(await processesOf(NO_PROCESS, directory.path)).toEqual([]);
});

test('the object store closes a connection that pipelines 100,000 requests, and serves others', async () => {
  await using directory = await temporaryDirectory();
  await using service = await startService({ environment: { DATA_DIR: join(directory.path, 'data') } });
  const client = service.client({ 'x-user-id': 'ada' });
  const s3Key = await upload(client, 'hello.txt', 'hello');
  const { presignedUrl } = await client.createPresignedDownload({ s3Key });
  const startMb = await residentMb(service.pid);
  const socket = connect(Number(new URL(presignedUrl).port), '127.0.0.1').on('error', () => {});
  // `once` would reject, because the connection is reset.
  const closed = new Promise((resolve) => socket.once('close', resolve));
  let answers = '';
  socket.setEncoding('latin1').on('data', (text) => {
    answers += text;
  });
  socket.write('GET /files/a HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(100_000));
  await closed;
  expect(answers.split('HTTP/1.1 ').length - 1).toBeLessThanOrEqual(PIPELINED_REQUESTS_MAX);
  expect((await residentMb(service.pid)) - startMb).toBeLessThan(GROWTH_MAX_MB);
  expect(await download(client, s3Key)).toBe('hello');
  await service.stop();
});
