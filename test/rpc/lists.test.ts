import { setTimeout } from 'node:timers/promises';
import { toBinary, toJsonString } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type File, FileSchema } from '../../gen/files/v1/file_pb.ts';
import { type ListFilesResponse, ListFilesResponseSchema } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf, invalid } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { forgedContent, forgedPageToken } from '../harness/forged-page-token.ts';
import { newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const service = forAllTests(() => startTestService());

/** Inserts READY rows as uploads would, because a list reads only rows. */
async function fill(user: string, count: number, options: { sameTime?: boolean; prefix?: string } = {}) {
  await service.pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, verified_at, url_expire_at)
     select $1, $1 || '_' || $4 || n, 'ready', $4 || n || '.txt', 'text/plain', decode(md5($1 || $4 || n), 'hex'), n, 'etag',
            case when $3 then timestamptz '2026-01-01 00:00:00.123456Z' else timestamptz '2026-01-01Z' + n * interval '1 ms' end,
            now(), now()
     from generate_series(1, $2) n`,
    [user, count, options.sameTime ?? false, options.prefix ?? 'f'],
  );
}

async function allPages(
  user: string,
  request: { pageSize: number; filenamePrefix?: string },
): Promise<File[][]> {
  // All pages use one client, and so one connection.
  const files = service.as(user);
  const pages: File[][] = [];
  let pageToken = '';
  do {
    const page = await files.listFiles({ ...request, pageToken });
    pages.push(page.files);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return pages;
}

const keysOf = (pages: File[][]) => pages.flat().map(({ s3Key }) => s3Key);

describe('pages', () => {
  it('of an empty list have no next page token', async () => {
    expect(await service.as(newUser()).listFiles({})).toMatchObject({ files: [], nextPageToken: '' });
  });

  it('have no next page token when the last page is exactly full', async () => {
    const user = newUser();
    await fill(user, 10);
    expect((await allPages(user, { pageSize: 5 })).map((page) => page.length)).toEqual([5, 5]);
    expect((await allPages(user, { pageSize: 10 })).map((page) => page.length)).toEqual([10]);
    expect((await allPages(user, { pageSize: 9 })).map((page) => page.length)).toEqual([9, 1]);
  });

  it('list the newest files first', async () => {
    const user = newUser();
    await fill(user, 30);
    const sizes = (await allPages(user, { pageSize: 7 })).flat().map(({ size }) => Number(size));
    expect(sizes).toEqual(Array.from({ length: 30 }, (_, i) => 30 - i));
  });

  it('of 7 files contain each of 10,000 files once, while other files are inserted and deleted', async () => {
    const user = newUser();
    await fill(user, 10_000);
    let walking = true;
    let added = 0;
    const disturb = async () => {
      while (walking) {
        await setTimeout(10);
        await fill(user, 3, { prefix: `new${added++}-` });
        // Deletes random files whose size is a multiple of 50. Only these files may be missing from the list.
        await service.pool.query(
          `delete from files where ctid in (select ctid from files
             where user_id = $1 and filename like 'f%' and size % 50 = 0 order by random() limit 1)`,
          [user],
        );
      }
    };
    const disturbing = disturb();
    const keys = keysOf(await allPages(user, { pageSize: 7 }));
    walking = false;
    await disturbing;

    expect(added).toBeGreaterThan(20);
    expect(new Set(keys).size).toBe(keys.length);
    const seen = new Set(keys);
    const missing = Array.from({ length: 10_000 }, (_, i) => i + 1)
      .filter((n) => n % 50 !== 0)
      .filter((n) => !seen.has(`${user}_f${n}`));
    expect(missing).toEqual([]);
  }, 60_000);

  it('contain each file once when all files have the same time', async () => {
    const user = newUser();
    await fill(user, 100, { sameTime: true });
    const keys = keysOf(await allPages(user, { pageSize: 7 }));
    expect(keys).toHaveLength(100);
    expect(new Set(keys).size).toBe(100);
    expect(keys).toEqual([...keys].sort().reverse());
  });

  it.each([
    [0, 100],
    [1, 1],
    [999, 999],
    [1_000, 1_000],
    [1_001, 1_000],
    [1_000_000_000, 1_000],
  ])('with page_size %i have %i files', async (pageSize, expected) => {
    const user = newUser();
    await fill(user, 1_050);
    const { files, nextPageToken } = await service.as(user).listFiles({ pageSize });
    expect(files).toHaveLength(expected);
    expect(nextPageToken).not.toBe('');
  });

  it('with a negative page_size are refused', async () => {
    for (const pageSize of [-1, -(2 ** 31)]) {
      expect(await failureOf(service.as(newUser()).listFiles({ pageSize }))).toMatchObject(
        invalid('INVALID_PAGE_SIZE', 'page_size'),
      );
    }
  });
});

describe('a page of the longest names', () => {
  const MIB = 1024 ** 2;
  // Filenames of the maximum length in bytes. Quotes become longest in JSON.
  const LONGEST: [string, string][] = [
    ['quotes', '"'],
    ['three bytes a letter', '文'],
  ];

  it.each(LONGEST)(
    '(%s) has at most 1 MiB in both encodings, and the next pages have the remaining files',
    async (_, letter) => {
      const user = newUser();
      const name = letter.repeat(Math.floor(250 / Buffer.byteLength(letter)));
      await service.pool.query(
        `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, verified_at, url_expire_at)
       select $1, rpad($1 || '_' || n, 240, 'k'), 'ready', $2 || n, rpad('a/b; c="', 254, '\\') || '"', decode(md5(n::text), 'hex'),
         9007199254740991 - n, rpad('', 255, 'e'), now() - n * interval '1 ms', now(), now()
       from generate_series(1, 1000) n`,
        [user, name],
      );
      const pages: ListFilesResponse[] = [];
      do {
        const pageToken = pages.at(-1)?.nextPageToken ?? '';
        pages.push(await service.as(user).listFiles({ pageSize: 1_000, pageToken }));
      } while (pages.at(-1)?.nextPageToken !== '');
      const keys = pages.flatMap(({ files }) => files.map(({ s3Key }) => s3Key));
      expect(keys).toHaveLength(1_000);
      expect(new Set(keys).size).toBe(1_000);
      expect(pages.length).toBeGreaterThan(1);
      for (const page of pages) {
        const [file] = page.files;
        if (file === undefined) throw new Error('an empty page');
        const binary = toBinary(ListFilesResponseSchema, page).length;
        expect(binary).toBeLessThanOrEqual(MIB + toBinary(FileSchema, file).length + 100);
        const json = Buffer.byteLength(toJsonString(ListFilesResponseSchema, page));
        expect(json).toBeLessThanOrEqual(MIB + Buffer.byteLength(toJsonString(FileSchema, file)) + 1_000);
      }
    },
  );

  it('has a thousand files if their names have ordinary lengths', async () => {
    const user = newUser();
    await fill(user, 1_001, { prefix: 'Scan of the contract of 2026, page '.repeat(2) });
    expect((await service.as(user).listFiles({ pageSize: 1_000 })).files).toHaveLength(1_000);
  });
});

describe('filename_prefix', () => {
  it('matches the beginning of the NFC name, is case-sensitive, and has no wildcards', async () => {
    const user = newUser();
    const names = ['report.txt', 'Report.txt', 'rep%ort', 'rep_ort', 'é.txt', 'other'];
    for (const [i, name] of names.entries()) {
      await service.pool.query(
        `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, verified_at, url_expire_at)
         values ($1, $2, 'ready', $3, 'text/plain', decode(md5($2), 'hex'), 1, 'e', now(), now(), now())`,
        [user, `${user}_${i}`, name],
      );
    }
    const chosen = async (filenamePrefix: string) =>
      (await service.as(user).listFiles({ filenamePrefix })).files.map(({ filename }) => filename).sort();
    expect(await chosen('rep')).toEqual(['rep%ort', 'rep_ort', 'report.txt']);
    expect(await chosen('rep%')).toEqual(['rep%ort']);
    expect(await chosen('rep_')).toEqual(['rep_ort']);
    expect(await chosen('e\u0301')).toEqual(['é.txt']);
    expect(await chosen('')).toEqual([...names].sort());
    expect(await chosen('none')).toEqual([]);
  });

  it('finds 3 matches among 60,000 files, with empty pages in between', async () => {
    const user = newUser();
    await fill(user, 60_000);
    await service.pool.query(
      `update files set filename = 'rare ' || size where user_id = $1 and size in (1, 2, 15000)`,
      [user],
    );
    await service.pool.query('analyze files');
    let walking = true;
    const disturb = async () => {
      for (let added = 0; walking; added++) {
        await fill(user, 3, { prefix: `new${added}-` });
        await service.pool.query(
          `delete from files where ctid in (select ctid from files
             where user_id = $1 and filename like 'f%' order by random() limit 10)`,
          [user],
        );
      }
    };
    const disturbing = disturb();
    const pages = await allPages(user, { pageSize: 100, filenamePrefix: 'rare' });
    walking = false;
    await disturbing;
    expect(keysOf(pages)).toEqual([15_000, 2, 1].map((n) => `${user}_f${n}`));
    // Each page examines 10,000 files. Files inserted meanwhile are newer and may add a page.
    expect(pages.length).toBeGreaterThanOrEqual(6);
    expect(pages.length).toBeLessThanOrEqual(7);
    expect(pages.slice(0, 3).flat()).toEqual([]);
  }, 60_000);

  it('holds for all pages', async () => {
    const user = newUser();
    await fill(user, 20, { prefix: 'a' });
    await fill(user, 20, { prefix: 'b' });
    const pages = await allPages(user, { pageSize: 7, filenamePrefix: 'a' });
    expect(pages.map((page) => page.length)).toEqual([7, 7, 6]);
  });

  it.each([
    ['256 bytes', 'x'.repeat(256)],
    ['NUL', 'a\0'],
  ])('refuses %s', async (_, filenamePrefix) => {
    expect(await failureOf(service.as(newUser()).listFiles({ filenamePrefix }))).toMatchObject(
      invalid('INVALID_FILENAME', 'filename_prefix'),
    );
  });
});

describe('a page token', () => {
  const refused = invalid('INVALID_PAGE_TOKEN', 'page_token');
  const user = newUser();
  let token = '';
  beforeAll(async () => {
    await fill(user, 20);
    ({ nextPageToken: token } = await service.as(user).listFiles({ pageSize: 7 }));
  });

  it('is refused with any single bit flipped', async () => {
    const bytes = Buffer.from(token, 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 5) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const pageToken = flipped.toString('base64url');
      expect(await failureOf(service.as(user).listFiles({ pageToken }))).toMatchObject(refused);
    }
  });

  it('is refused in any other encoding of its bytes', async () => {
    for (const pageToken of [
      `${token}=`,
      ` ${token}`,
      `${token}\n`,
      Buffer.from(token, 'base64url').toString('hex'),
    ]) {
      expect(await failureOf(service.as(user).listFiles({ pageToken }))).toMatchObject(refused);
    }
  });

  it('is refused with another filename_prefix', async () => {
    expect(
      await failureOf(service.as(user).listFiles({ pageToken: token, filenamePrefix: 'f' })),
    ).toMatchObject(refused);
  });

  it.each([
    ['10 kB of letters', 'A'.repeat(10_000)],
    ['10 kB of anything', 'ü€\u{1f600}'.repeat(1_000)],
    ['one letter', 'A'],
    ['NUL', '\0'],
    ['SQL', "' or 1=1 --"],
  ])('of %s is refused', async (_, pageToken) => {
    expect(await failureOf(service.as(user).listFiles({ pageToken }))).toMatchObject(refused);
  });

  it('with forged content returns a page or INVALID_PAGE_TOKEN', async () => {
    // All calls use one client, and so one connection.
    const files = service.as(user);
    const codes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(forgedContent(user), async (content) => {
        const listed = files.listFiles({ pageToken: forgedPageToken(content, user) });
        const code = await listed.then(
          () => 'OK',
          (error: unknown) => Code[ConnectError.from(error).code],
        );
        codes.add(code);
        expect(['OK', 'InvalidArgument']).toContain(code);
      }),
      { numRuns: 500 },
    );
    expect([...codes].sort()).toEqual(['InvalidArgument', 'OK']);
  });

  it.each([-1n, 253_402_300_800_000n, 8_640_000_000_000_001n, 2n ** 63n - 1n, -(2n ** 63n)])(
    'with the time %i is refused',
    async (time) => {
      const pageToken = forgedPageToken({ time, key: Buffer.from(`${user}_a`) }, user);
      expect(await failureOf(service.as(user).listFiles({ pageToken }))).toMatchObject(refused);
    },
  );

  it.each([
    ['with NUL', `\0`],
    ['that is not UTF-8', Buffer.from([0xff])],
    ['above the limit', 'x'.repeat(600)],
  ])('with a key %s is refused', async (_, rest) => {
    const key = Buffer.concat([Buffer.from(`${user}_a`), Buffer.from(rest)]);
    const pageToken = forgedPageToken({ time: 1n, key }, user);
    expect(await failureOf(service.as(user).listFiles({ pageToken }))).toMatchObject(refused);
  });

  it('is accepted with another page size', async () => {
    const { files } = await service.as(user).listFiles({ pageToken: token, pageSize: 2 });
    expect(files.map(({ size }) => Number(size))).toEqual([13, 12]);
  });

  it('is accepted after its file was deleted', async () => {
    await service.pool.query('delete from files where user_id = $1 and size = 14', [user]);
    const { files } = await service.as(user).listFiles({ pageToken: token, pageSize: 2 });
    expect(files.map(({ size }) => Number(size))).toEqual([13, 12]);
  });
});
