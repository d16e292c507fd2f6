import { execFileSync } from 'node:child_process';
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
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { dataDirectoryIn } from '../../src/dev/postgres/cluster.ts';
import { readPostmasterFile } from '../../src/dev/postgres/leftovers.ts';
import { type EmbeddedPostgres, startPostgres } from '../../src/dev/postgres/postgres.ts';
import { dataDirectory } from '../harness/data-directory.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../harness/temporary-directory.ts';

const isRoot = process.geteuid?.() === 0;
/** Nobody that Postgres is run as. */
const OTHER_UID = 54_321;
/** Root's Postgres runs as the owner of the cluster, here `nobody`. */
const POSTGRES_UID = 65_534;

let holder: TemporaryDirectory;
let directory: string;

beforeEach(async () => {
  holder = await temporaryDirectory();
  directory = join(holder.path, 'postgres');
});
afterEach(() => holder[Symbol.asyncDispose]());

/** All that is looked at before Postgres starts. */
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

  test.for(['.', 'cluster', 'cluster/data'])('%s as a link is refused', async (name) => {
    const path = join(directory, name);
    renameSync(path, `${holder.path}/elsewhere`);
    symlinkSync(`${holder.path}/elsewhere`, path);
    await expect(start()).rejects.toThrow(`${path} is a symbolic link`);
  });

  test.for(['.', 'cluster', 'cluster/data'])('%s that its group can write is refused', async (name) => {
    const path = join(directory, name);
    chmodSync(path, 0o770);
    await expect(start()).rejects.toThrow(`${path} is writable by its group or by every user (mode 0770)`);
  });

  test('a file in their place is refused', async () => {
    rmSync(directory, { recursive: true });
    writeFileSync(directory, '');
    await expect(start()).rejects.toThrow(`${directory} is not a directory`);
  });

  describe.runIf(isRoot)('(as root, who can make what another user would)', () => {
    test.for(['.', 'cluster/data', 'cluster/password', 'port'])(
      '%s of another user is refused',
      async (name) => {
        const path = join(directory, name);
        if (name === 'port') writeFileSync(path, '1');
        chownSync(path, OTHER_UID, OTHER_UID);
        await expect(start()).rejects.toThrow(
          `${path} is owned by uid ${OTHER_UID}, but must be owned by uid `,
        );
      },
    );

    test('a cluster of root is refused with a way out', async () => {
      chownSync(join(directory, 'cluster'), 0, 0);
      await expect(start()).rejects.toThrow(`${join(directory, 'cluster')} is owned by root`);
    });

    test('a password that its owner has made a link to a file of root is not read', async () => {
      const path = join(directory, 'cluster', 'password');
      const { uid, gid } = statSync(path);
      rmSync(path);
      symlinkSync('/etc/hostname', path);
      lchownSync(path, uid, gid);
      await expect(start()).rejects.toThrow(`${path} is a symbolic link`);
    });
  });

  test.for(['port', 'cluster/password'])('%s as a FIFO is refused, not waited for', async (name) => {
    const path = join(directory, name);
    rmSync(path, { force: true });
    execFileSync('mkfifo', [path]);
    await expect(start()).rejects.toThrow(`${path} is not a regular file`);
  });

  test('a password that the service has not made is refused, and not shown', async () => {
    const path = join(directory, 'cluster', 'password');
    writeFileSync(path, '\u001b[31m'.padEnd(32, 'x'));
    await expect(start()).rejects.toThrow(/^[\x20-\x7e]* does not hold the password [\x20-\x7e]*$/);
  });

  test('a postmaster.pid that is a FIFO is not waited for', () => {
    const path = join(dataDirectoryIn(directory), 'postmaster.pid');
    execFileSync('mkfifo', [path]);
    const { uid, gid } = statSync(dataDirectoryIn(directory));
    chownSync(path, uid, gid);
    expect(() => readPostmasterFile(dataDirectoryIn(directory))).toThrow(`${path} is not a regular file`);
  });

  test.for(['', '-1', '1 2', '0', '1e3', '\u001b[31m', '12345678901'])(
    'the pid %j in postmaster.pid is none',
    (pid) => {
      const path = join(dataDirectoryIn(directory), 'postmaster.pid');
      writeFileSync(path, [pid, '', '', '', '', '', '', 'ready', ''].join('\n'));
      const { uid, gid } = statSync(dataDirectoryIn(directory));
      chownSync(path, uid, gid);
      expect(readPostmasterFile(dataDirectoryIn(directory))).toBeUndefined();
    },
  );
});

/** Beside a server that TEST_DATABASE_URL names there is no cluster to copy. */
describe.runIf(inject('preparedCluster') !== undefined)('a cluster that starts', () => {
  let data: TemporaryDirectory;

  beforeEach(async () => {
    data = await dataDirectory();
    directory = join(data.path, 'postgres');
  });
  afterEach(() => data[Symbol.asyncDispose]());

  test('replaces a log that is a link, and a port that is none', async () => {
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

  test('shows its log without what would act on a terminal', async () => {
    await expect(start({ shared_buffers: '\u001b[31m\u202eplenty' })).rejects.toThrow(
      /^[\x20-\x7e\n]*\\u\{001b\}\[31m\\u\{202e\}plenty[\x20-\x7e\n]*$/,
    );
  });
});
