/** The Express app of README.md, which receives events. */
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { expect, test, vi } from 'vitest';
import { DeliverFileEventRequestSchema, FileChange } from '../../../gen/files/v1/file_events_service_pb.ts';
import { forAllTests } from '../../harness/for-all-tests.ts';
import { startTestService } from '../../harness/service.ts';
import { PROJECT } from '../../harness/service-process.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { upload } from '../../harness/upload.ts';
import { waitFor } from '../../harness/wait-for.ts';
import type { Consumer } from './consumer.ts';
import { deliver } from './deliver.ts';
import { startConsumer } from './start-consumer.ts';

const EVENTS_TOKEN = 'the-token-of-the-events';

const consumer: Consumer = {
  name: 'the app of README.md',
  missing: async () => undefined,
  async build() {
    const folder = await temporaryDirectory();
    await symlink(join(PROJECT, 'node_modules'), join(folder.path, 'node_modules'));
    await writeFile(join(folder.path, 'app.mjs'), await sourceOfApp());
    return {
      command: [process.execPath, 'app.mjs'],
      options: { cwd: folder.path, env: { PATH: process.env.PATH } },
      [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
    };
  },
  eventsUrl: (port) => `http://127.0.0.1:${port}/events`,
  parse: (line) => JSON.parse(line),
};

/** The app on a free port. It prints what it stores. */
async function sourceOfApp(): Promise<string> {
  const readme = await readFile(join(PROJECT, 'README.md'), 'utf8');
  const [, code = ''] = /<!-- consumer: Express -->\n```js\n([\s\S]*?)```/.exec(readme) ?? [];
  const app = code.replace('.listen(3000)', ".listen(process.env.PORT, '127.0.0.1')");
  expect(app).not.toBe(code);
  return `${app}
    files.set = (key, file) => {
      console.log(JSON.stringify(file));
      return Map.prototype.set.call(files, key, file);
    };`;
}

const built = forAllTests(consumer.build);
const app = forAllTests(() => startConsumer(consumer, built, EVENTS_TOKEN));
const service = forAllTests(() => startTestService({ EVENTS_URL: app.eventsUrl, EVENTS_TOKEN }));

const storedOf = (s3Key: string) =>
  app
    .lines()
    .map((line) => JSON.parse(line))
    .filter(({ file }) => file.s3Key === s3Key);

test('the Express app of README.md stores that a file is there, and that it was deleted', async () => {
  const client = service.as('ada');
  const s3Key = await upload(client, 'hello.txt', 'hello, files');
  await client.listFiles({});
  const ready = { change: 'FILE_CHANGE_READY', userId: 'ada', file: { s3Key, filename: 'hello.txt' } };
  await vi.waitFor(() => expect(storedOf(s3Key)).toMatchObject([ready]), { timeout: 5_000 });
  await client.deleteFile({ s3Key });
  const deleted = { change: 'FILE_CHANGE_DELETED', userId: 'ada', file: { s3Key } };
  await vi.waitFor(() => expect(storedOf(s3Key)).toMatchObject([ready, deleted]), { timeout: 5_000 });
});

const event = (s3Key: string, revision: number) =>
  create(DeliverFileEventRequestSchema, {
    eventId: `${s3Key}:${revision}`,
    userId: 'ada',
    change: FileChange.READY,
    file: { s3Key },
    revision: BigInt(revision),
  });

test('the Express app of README.md acknowledges an event that comes twice or is older, and stores neither', async () => {
  const revision = Date.now() * 1_000;
  for (const one of [revision, revision, revision - 1]) {
    expect(await deliver(app.eventsUrl, EVENTS_TOKEN, event('twice', one))).toBe(204);
  }
  expect(await deliver(app.eventsUrl, EVENTS_TOKEN, event('twice', revision + 1))).toBe(204);
  const revisions = () => storedOf('twice').map((stored) => stored.revision);
  await waitFor(() => expect(revisions()).toEqual([revision, revision + 1]));
});

test('the Express app of README.md refuses another token', async () => {
  expect(await deliver(app.eventsUrl, 'another-token-of-the-events', event('refused', 1))).toBe(401);
});

test('the Express app of README.md refuses every event if it has no token itself', async () => {
  await using unset = await startConsumer(consumer, built, undefined);
  for (const token of ['', 'undefined']) {
    expect(await deliver(unset.eventsUrl, token, event('refused', 1))).toBe(401);
  }
});
