import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { dataDirectory } from '../harness/data-directory.ts';
import { launchService, NODE_OPTIONS, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { upload } from '../harness/upload.ts';

/** The tests start the service with its own Postgres: seconds on an idle machine, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

const isRoot = process.geteuid?.() === 0;
const OTHER_UID = 65_534;

function withUmask(umask: string): readonly [string, ...string[]] {
  const service = [process.execPath, ...NODE_OPTIONS, 'src/main.ts', 'serve'];
  return ['sh', '-c', `umask ${umask}; exec "$@"`, 'sh', ...service];
}

/** The modes of all paths that give any right to other users, by path. */
function openToOthers(directory: string): Record<string, string> {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) =>
    join(directory, name),
  );
  expect(paths.length).toBeGreaterThan(1_000);
  const open: Record<string, string> = {};
  for (const path of [directory, ...paths]) {
    const mode = lstatSync(path).mode & 0o7777;
    if ((mode & 0o077) !== 0) open[path.slice(directory.length)] = mode.toString(8);
  }
  return open;
}

test.for(['0000', '0022'])(
  'with umask %s, other users have no access to the files of a start and an upload',
  async (umask) => {
    await using holder = await temporaryDirectory();
    const path = join(holder.path, 'data');
    await using service = await startService({ environment: { DATA_DIR: path }, command: withUmask(umask) });
    const ada = service.client({ 'x-user-id': 'ada' });
    await upload(ada, 'notes.txt', 'private');
    await ada.createMultipartUpload({
      filename: 'large.bin',
      mimeType: 'application/octet-stream',
      size: 6n * 1024n ** 3n,
      partMd5s: Array.from({ length: 96 }, (_, index) => Buffer.alloc(16, index)),
    });
    // The Postgres of root runs as another user, who must pass through these two directories but cannot list
    // them.
    expect(openToOthers(path)).toEqual(isRoot ? { '': '711', '/postgres': '711' } : {});
    await service.stop();
  },
);

test('a data directory of an earlier release becomes private, and keeps its files', async () => {
  await using data = await dataDirectory();
  const environment = { DATA_DIR: data.path };
  await using first = await startService({ environment });
  await upload(first.client({ 'x-user-id': 'ada' }), 'notes.txt', 'kept');
  await first.stop();
  for (const name of ['', 'postgres', 'postgres/port', 's3', 's3/tmp', 's3/buckets', 's3/buckets/files']) {
    const path = join(data.path, name);
    chmodSync(path, lstatSync(path).isDirectory() ? 0o755 : 0o644);
  }
  await using second = await startService({ environment });
  expect(openToOthers(data.path)).toEqual(isRoot ? { '': '711', '/postgres': '711' } : {});
  const { files } = await second.client({ 'x-user-id': 'ada' }).listFiles({});
  expect(files).toMatchObject([{ filename: 'notes.txt' }]);
  await second.stop();
});

interface Planted {
  what: string;
  plant: (data: string) => void;
  message: (data: string) => string;
  rootOnly?: boolean;
}

const planted: Planted[] = [
  {
    what: 'of another user',
    plant: (data) => chownSync(data, OTHER_UID, OTHER_UID),
    message: (data) => `${data} is owned by uid ${OTHER_UID}, but must be owned by uid 0`,
    rootOnly: true,
  },
  {
    what: 'that every user can write',
    plant: (data) => chmodSync(data, 0o777),
    message: (data) => `${data} is writable by its group or by every user (mode 0777)`,
  },
  {
    what: 'in a directory that every user can write',
    plant: (data) => chmodSync(join(data, '..'), 0o777),
    message: (data) => `${join(data, '..')} is writable by every user (mode 0777, without the sticky bit)`,
  },
  {
    what: 'with a lock that is a link',
    plant: (data) => symlinkSync('/dev/zero', join(data, 'file-service.lock')),
    message: (data) => `${data}/file-service.lock is not the empty file that the service creates`,
  },
  {
    what: 'with a link for Postgres',
    plant: (data) => replaceByLink(data, 'postgres'),
    message: (data) => `${data}/postgres is a symbolic link`,
  },
  {
    what: 'with a link for the object store',
    plant: (data) => replaceByLink(data, 's3'),
    message: (data) => `${data}/s3 is a symbolic link`,
  },
  {
    what: 'with settings that hold an escape sequence',
    plant: (data) => writeFileSync(join(data, 's3', 'settings.json'), '\u001b[31m', { mode: 0o600 }),
    message: (data) => `${data}/s3/settings.json does not hold what the service writes there`,
  },
  {
    what: 'with a bucket that holds an escape sequence in its name',
    plant(data) {
      const bucket = join(data, 's3', 'buckets', '\u001b[31m\nforged\u202e');
      mkdirSync(bucket, { recursive: true, mode: 0o700 });
      writeFileSync(join(bucket, '0'.repeat(64)), 'no object', { mode: 0o600 });
    },
    message: (data) =>
      `object store: ${data}/s3/buckets/\\u001b[31m\\u000aforged\\u202e/${'0'.repeat(64)} is`,
  },
];

function replaceByLink(data: string, name: string): void {
  const elsewhere = join(data, '..', 'elsewhere');
  renameSync(join(data, name), elsewhere);
  symlinkSync(elsewhere, join(data, name));
}

test.for(planted.filter(({ rootOnly }) => isRoot || rootOnly !== true))(
  'a data directory $what is refused in one line',
  async ({ plant, message }) => {
    await using holder = await temporaryDirectory();
    const data = join(realpathSync(holder.path), 'data');
    // The data directory has only two empty directories, so that the planted file is the only reason to refuse it.
    for (const name of ['postgres', 's3']) mkdirSync(join(data, name), { recursive: true, mode: 0o700 });
    plant(data);
    await using service = launchService({ environment: { DATA_DIR: data } });
    expect(await service.untilGone()).toEqual({ code: 1, signal: null });
    const { stderr } = service.printed;
    expect(stderr.startsWith(message(data)), stderr).toBe(true);
    expect(stderr).toMatch(/^[\x20-\x7e]+\n$/);
  },
);
