import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { dataDirectoryIn } from '../../src/dev/postgres/cluster.ts';
import { readPostmasterFile } from '../../src/dev/postgres/leftovers.ts';
import { type EmbeddedPostgres, startPostgres } from '../../src/dev/postgres/postgres.ts';
import { dataDirectory } from '../harness/data-directory.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../harness/temporary-directory.ts';

const isRoot = process.geteuid?.() === 0;
/** A user that does not run Postgres. */
const OTHER_UID = 54_321;
/** The owner of the cluster. When root starts Postgres, Postgres runs as this user. */
const POSTGRES_UID = 65_534;

let holder: TemporaryDirectory;
let directory: string;

beforeEach(async () => {
  holder = await temporaryDirectory();
  directory = join(holder.path, 'postgres');
});
afterEach(() => holder[Symbol.asyncDispose]());

/** Creates the files that are checked before Postgres starts. */
function makeOutline(): void {
  mkdirSync(join(directory, 'cluster', 'data'), { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, 'cluster', 'password'), 'x'.repeat(32), { mode: 0o600 });
  if (!isRoot) return;
  for (const name of ['cluster', 'cluster/data', 'cluster/password']) {
    chownSync(join(directory, name), POSTGRES_UID, POSTGRES_UID);
  }
}

function start(settings: Record<string, string> = {}): Promise<EmbeddedPostgres> {
  return startPostgres({ directory, settings: { fsync: 'off', ...settings } });
}

describe('a cluster', () => {
  beforeEach(makeOutline);

  test.for(['.', 'cluster', 'cluster/data'])('is refused when %s is a link', async (name) => {
    const path = join(directory, name);
    renameSync(path, `${holder.path}/elsewhere`);
    symlinkSync(`${holder.path}/elsewhere`, path);
    await expect(start()).rejects.toThrow(`${path} is a symbolic link`);
  });

  test.for(['.', 'cluster', 'cluster/data'])('is refused when the group can write %s', async (name) => {
    const path = join(directory, name);
    chmodSync(path, 0o770);
    await expect(start()).rejects.toThrow(`${path} is writable by its group or by every user (mode 0770)`);
  });

  test('is refused when its directory is a file', async () => {
    rmSync(directory, { recursive: true });
    writeFileSync(directory, '');
    await expect(start()).rejects.toThrow(`${directory} is not a directory`);
  });

  describe.runIf(isRoot)('(as root, who can create files of another user)', () => {
    test.for(['.', 'cluster/data', 'cluster/password', 'port'])(
      'is refused when %s belongs to another user',
      async (name) => {
        const path = join(directory, name);
        if (name === 'port') writeFileSync(path, '1');
        chownSync(path, OTHER_UID, OTHER_UID);
        await expect(start()).rejects.toThrow(
          `${path} is owned by uid ${OTHER_UID}, but must be owned by uid `,
        );
      },
    );

    test('is refused when it belongs to root, because Postgres must not run as root', async () => {
      chownSync(join(directory, 'cluster'), 0, 0);
      await expect(start()).rejects.toThrow(`${join(directory, 'cluster')} is owned by root`);
    });

    test('is refused when its password file is a link to a file of root', async () => {
      const path = join(directory, 'cluster', 'password');
      const { uid, gid } = statSync(path);
      rmSync(path);
      symlinkSync('/etc/hostname', path);
      lchownSync(path, uid, gid);
      await expect(start()).rejects.toThrow(`${path} is a symbolic link`);
    });
  });

  test.for(['port', 'cluster/password'])('is refused at once when %s is a FIFO', async (name) => {
    const path = join(directory, name);
    rmSync(path, { force: true });
    execFileSync('mkfifo', [path]);
    await expect(start()).rejects.toThrow(`${path} is not a regular file`);
  });

  test('is refused when its password file is a socket', async () => {
    const path = join(directory, 'cluster', 'password');
    // Moved, because the path of a socket that a server opens may have at most 103 bytes on macOS.
    const short = join(holder.path, 'socket');
    await using server = createServer().listen(short);
    await once(server, 'listening');
    renameSync(short, path);
    await expect(start()).rejects.toThrow(`${path} is not a regular file`);
  });

  test('is refused when the service did not write its password, which the error does not show', async () => {
    const path = join(directory, 'cluster', 'password');
    writeFileSync(path, '\u001b[31m'.padEnd(32, 'x'));
    await expect(start()).rejects.toThrow(/^[\x20-\x7e]* does not hold the password [\x20-\x7e]*$/);
  });

  test('is refused at once when its postmaster.pid is a FIFO', () => {
    const path = join(dataDirectoryIn(directory), 'postmaster.pid');
    execFileSync('mkfifo', [path]);
    const { uid, gid } = statSync(dataDirectoryIn(directory));
    chownSync(path, uid, gid);
    expect(() => readPostmasterFile(dataDirectoryIn(directory))).toThrow(`${path} is not a regular file`);
  });

  test.for(['', '-1', '1 2', '0', '1e3', '\u001b[31m', '12345678901'])(
    'has no postmaster when postmaster.pid begins with %j',
    (pid) => {
      const path = join(dataDirectoryIn(directory), 'postmaster.pid');
      writeFileSync(path, [pid, '', '', '', '', '', '', 'ready', ''].join('\n'));
      const { uid, gid } = statSync(dataDirectoryIn(directory));
      chownSync(path, uid, gid);
      expect(readPostmasterFile(dataDirectoryIn(directory))).toBeUndefined();
    },
  );
});

/** There is no cluster to copy when TEST_DATABASE_URL names a server. */
describe.runIf(inject('preparedCluster') !== undefined)('the start of a cluster', () => {
  let data: TemporaryDirectory;

  beforeEach(async () => {
    data = await dataDirectory();
    directory = join(data.path, 'postgres');
  });
  afterEach(() => data[Symbol.asyncDispose]());

  test('replaces a log that is a link, and a remembered port that is invalid', async () => {
    const target = join(data.path, 'target');
    writeFileSync(target, 'precious');
    symlinkSync(target, join(directory, 'postgres.log'));
    mkdirSync(join(directory, 'postgres.previous.log'));
    writeFileSync(join(directory, 'port'), '0x10', { mode: 0o600 });
    const { url, stop } = await start();
    await stop();
    expect(readFileSync(target, 'utf8')).toBe('precious');
    expect(statSync(join(directory, 'postgres.log')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(directory, 'port'), 'utf8')).toBe(new URL(url).port);
    expect(new URL(url).port).not.toBe('16');
  });

  test('escapes the characters of the log that would act on a terminal', async () => {
    await expect(start({ shared_buffers: '\u001b[31m\u202eplenty' })).rejects.toThrow(
      /^[\x20-\x7e\n]*\\u001b\[31m\\u202eplenty[\x20-\x7e\n]*$/,
    );
  });
});
