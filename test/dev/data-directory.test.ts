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
/** Only root can give a file to another user. */
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

describe('a directory that is made', () => {
  test.for(['000', '022', '077'])('is private with umask %s, and so are those above it', (umask) => {
    const before = process.umask(umask);
    try {
      const deep = join(path, 'a', 'b');
      expect(openDataDirectory(deep)).toBe(deep);
      for (const each of [path, join(path, 'a'), deep]) expect(modeOf(each), each).toBe(ABOVE_POSTGRES);
    } finally {
      process.umask(before);
    }
  });
});

describe('a directory of ours that is there', () => {
  test('is made private when it is one of an earlier release', () => {
    for (const each of ['postgres', 's3']) mkdirSync(join(path, each), { recursive: true });
    chmodSync(path, 0o755);
    openDataDirectory(path);
    expect(modeOf(path)).toBe(ABOVE_POSTGRES);
  });

  test('is not opened further', () => {
    mkdirSync(path, { mode: 0o700 });
    openDataDirectory(path);
    expect(modeOf(path)).toBe(0o700);
  });

  test('keeps its mode when it holds other things, as a home directory does', () => {
    mkdirSync(path);
    writeFileSync(join(path, '.profile'), '');
    chmodSync(path, 0o755);
    openDataDirectory(path);
    expect(modeOf(path)).toBe(0o755);
  });

  test('is found through a link of ours, and named by its real path from then on', () => {
    mkdirSync(path);
    const link = join(holder, 'link');
    symlinkSync(path, link);
    expect(openDataDirectory(link)).toBe(path);
    symlinkSync(holder, join(holder, 'above'));
    expect(openDataDirectory(join(holder, 'above', 'data'))).toBe(path);
  });
});

describe('refused is', () => {
  test.for(['0770', '0707', '1777'])('a directory with mode %s', (mode) => {
    mkdirSync(path);
    chmodSync(path, mode);
    expect(() => openDataDirectory(path)).toThrow(
      `${path} is writable by its group or by every user (mode ${mode})`,
    );
    expect(modeOf(path)).toBe(Number.parseInt(mode, 8));
  });

  test('a file', () => {
    writeFileSync(path, '');
    expect(() => openDataDirectory(path)).toThrow(`${path} is not a directory`);
  });

  test('a link to nothing', () => {
    symlinkSync(join(holder, 'nothing'), path);
    expect(() => openDataDirectory(path)).toThrow(`${path} is a symbolic link to nothing`);
  });

  test.for(['data', 'a/data', 'a/b/data'])('%s below a directory that everybody can write', (below) => {
    mkdirSync(join(holder, below), { recursive: true });
    chmodSync(holder, 0o777);
    expect(() => openDataDirectory(join(holder, below))).toThrow(
      `${holder} is writable by every user (mode 0777, without the sticky bit)`,
    );
  });

  test('a directory that is not made yet, below one that everybody can write', () => {
    chmodSync(holder, 0o777);
    expect(() => openDataDirectory(join(path, 'deep'))).toThrow(`${holder} is writable by every user`);
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  });

  test('a message names a path without what would act on a terminal', () => {
    const name = join(holder, 'x\u001b[31m\n\u202ey');
    writeFileSync(name, '');
    expect(() => openDataDirectory(name)).toThrow(`${holder}/x\\u{001b}[31m\\u{000a}\\u{202e}y is not`);
  });

  describe.runIf(isRoot)('(as root, who can make what another user would)', () => {
    test('a directory of another user', () => {
      mkdirSync(path);
      chownSync(path, OTHER_UID, OTHER_UID);
      expect(() => openDataDirectory(path)).toThrow(`${path} is owned by uid ${OTHER_UID}, but must be`);
    });

    test('a link of another user', () => {
      const target = join(holder, 'target');
      mkdirSync(target);
      symlinkSync(target, path);
      lchownSync(path, OTHER_UID, OTHER_UID);
      expect(() => openDataDirectory(path)).toThrow(
        `${path} is a symbolic link that uid ${OTHER_UID} has made`,
      );
    });

    test.for(['0755', '1777'])('a directory in one of another user with mode %s', (mode) => {
      chmodSync(holder, mode);
      chownSync(holder, OTHER_UID, OTHER_UID);
      for (const each of [path, join(path, 'deep')]) {
        expect(() => openDataDirectory(each)).toThrow(
          `${holder} is owned by uid ${OTHER_UID}, who could replace`,
        );
      }
      expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
    });

    test('a directory of ours deep in a sticky one of another user, who may rename what is in it', () => {
      const deep = join(holder, 'a', 'data');
      mkdirSync(deep, { recursive: true });
      chmodSync(holder, 0o1777);
      chownSync(holder, OTHER_UID, OTHER_UID);
      expect(() => openDataDirectory(deep)).toThrow(`${holder} is owned by uid ${OTHER_UID}`);
    });
  });
});

test('a directory in the sticky one that all users share is accepted', () => {
  chmodSync(holder, 0o1777);
  expect(openDataDirectory(path)).toBe(path);
});
