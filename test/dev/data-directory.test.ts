import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDataDirectory } from '../../src/dev/data-directory/data-directory.ts';

const isRoot = process.geteuid?.() === 0;
/** The owner of the files of another user. Only root can create such files. */
const OTHER_UID = 65_534;
const ABOVE_POSTGRES = isRoot ? 0o711 : 0o700;

let holder: string;
let path: string;

beforeEach(() => {
  holder = realpathSync(mkdtempSync(join(tmpdir(), 'data-directory-')));
  path = join(holder, 'data');
});
afterEach(() => rmSync(holder, { recursive: true, force: true }));

function modeOf(directory: string): number {
  return statSync(directory).mode & 0o7777;
}

describe('a new data directory', () => {
  test.for(['000', '022', '077'])(
    'is private with umask %s, and so are the new directories above it',
    (umask) => {
      const before = process.umask(umask);
      try {
        const deep = join(path, 'a', 'b');
        expect(openDataDirectory(deep)).toBe(deep);
        for (const each of [path, join(path, 'a'), deep]) expect(modeOf(each), each).toBe(ABOVE_POSTGRES);
      } finally {
        process.umask(before);
      }
    },
  );
});

describe('an existing data directory of the own user', () => {
  test('becomes private when an earlier release created it', () => {
    for (const each of ['postgres', 's3']) mkdirSync(join(path, each), { recursive: true });
    chmodSync(path, 0o755);
    openDataDirectory(path);
    expect(modeOf(path)).toBe(ABOVE_POSTGRES);
  });

  test('keeps a mode that is stricter than the usual one', () => {
    mkdirSync(path, { mode: 0o700 });
    openDataDirectory(path);
    expect(modeOf(path)).toBe(0o700);
  });

  test('keeps its mode when it has foreign entries, as a home directory has', () => {
    mkdirSync(path);
    writeFileSync(join(path, '.profile'), '');
    chmodSync(path, 0o755);
    openDataDirectory(path);
    expect(modeOf(path)).toBe(0o755);
  });

  test('is found through a link of the own user, and named by its real path', () => {
    mkdirSync(path);
    const link = join(holder, 'link');
    symlinkSync(path, link);
    expect(openDataDirectory(link)).toBe(path);
    symlinkSync(holder, join(holder, 'above'));
    expect(openDataDirectory(join(holder, 'above', 'data'))).toBe(path);
  });
});

describe('openDataDirectory', () => {
  test.for(['0770', '0707', '1777'])('refuses a directory with mode %s', (mode) => {
    mkdirSync(path);
    chmodSync(path, mode);
    expect(() => openDataDirectory(path)).toThrow(
      `${path} is writable by its group or by every user (mode ${mode})`,
    );
    expect(modeOf(path)).toBe(Number.parseInt(mode, 8));
  });

  test('refuses a file', () => {
    writeFileSync(path, '');
    expect(() => openDataDirectory(path)).toThrow(`${path} is not a directory`);
  });

  test('refuses a link to nothing', () => {
    symlinkSync(join(holder, 'nothing'), path);
    expect(() => openDataDirectory(path)).toThrow(`${path} is a symbolic link to nothing`);
  });

  // In a process of its own: a call that never returned would also stop the test runner. Only Linux has /proc.
  test.runIf(process.platform === 'linux')('ends where no directory can be created', () => {
    const module = join(import.meta.dirname, '../../src/dev/data-directory/data-directory.ts');
    const script = `import { openDataDirectory } from ${JSON.stringify(module)}; openDataDirectory('/proc/none/data');`;
    const { stderr, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 10_000,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
    });
    expect({ signal, stderr }).toMatchObject({
      signal: null,
      stderr: expect.stringContaining("mkdir '/proc/none'"),
    });
  });

  test.for(['data', 'a/data', 'a/b/data'])(
    'refuses %s below a directory that every user can write',
    (below) => {
      mkdirSync(join(holder, below), { recursive: true });
      chmodSync(holder, 0o777);
      expect(() => openDataDirectory(join(holder, below))).toThrow(
        `${holder} is writable by every user (mode 0777, without the sticky bit)`,
      );
    },
  );

  test('refuses to create a directory below one that every user can write', () => {
    chmodSync(holder, 0o777);
    expect(() => openDataDirectory(join(path, 'deep'))).toThrow(`${holder} is writable by every user`);
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  });

  test('escapes the characters of a path that would act on a terminal', () => {
    const name = join(holder, 'x\u001b[31m\n\u202ey');
    writeFileSync(name, '');
    expect(() => openDataDirectory(name)).toThrow(`${holder}/x\\u001b[31m\\u000a\\u202ey is not`);
  });

  describe.runIf(isRoot)('(as root, who can create files of another user)', () => {
    test('refuses a directory of another user', () => {
      mkdirSync(path);
      chownSync(path, OTHER_UID, OTHER_UID);
      expect(() => openDataDirectory(path)).toThrow(`${path} is owned by uid ${OTHER_UID}, but must be`);
    });

    test('refuses a link of another user', () => {
      const target = join(holder, 'target');
      mkdirSync(target);
      symlinkSync(target, path);
      lchownSync(path, OTHER_UID, OTHER_UID);
      expect(() => openDataDirectory(path)).toThrow(
        `${path} is a symbolic link that uid ${OTHER_UID} has made`,
      );
    });

    test.for(['0755', '1777'])(
      'refuses a directory inside a directory of another user with mode %s',
      (mode) => {
        chmodSync(holder, mode);
        chownSync(holder, OTHER_UID, OTHER_UID);
        for (const each of [path, join(path, 'deep')]) {
          expect(() => openDataDirectory(each)).toThrow(
            `${holder} is owned by uid ${OTHER_UID}, who could replace`,
          );
        }
        expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
      },
    );

    test('refuses a directory deep inside a sticky directory whose owner, another user, may rename its entries', () => {
      const deep = join(holder, 'a', 'data');
      mkdirSync(deep, { recursive: true });
      chmodSync(holder, 0o1777);
      chownSync(holder, OTHER_UID, OTHER_UID);
      expect(() => openDataDirectory(deep)).toThrow(`${holder} is owned by uid ${OTHER_UID}`);
    });
  });
});

test('openDataDirectory accepts a directory inside a sticky directory that all users share', () => {
  chmodSync(holder, 0o1777);
  expect(openDataDirectory(path)).toBe(path);
});
