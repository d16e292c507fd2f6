import { setTimeout } from 'node:timers/promises';
import { toBinary, toJsonString } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type File, FileSchema } from '../../gen/files/v1/file_pb.ts';
import { type ListFilesResponse, ListFilesResponseSchema } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf } from '../harness/failure.ts';
import { forgedContent, forgedPageToken } from '../harness/forged-page-token.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService, type TestService } from '../harness/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

/** READY rows as if they had been uploaded: what a list reads is rows. */
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
  // One client, and so one connection, for all of them.
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
  it('an empty list has no token', async () => {
    expect(await service.as(newUser()).listFiles({})).toMatchObject({ files: [], nextPageToken: '' });
  });

  it('a page that is exactly full leads nowhere', async () => {
    const user = newUser();
    await fill(user, 10);
    expect((await allPages(user, { pageSize: 5 })).map((page) => page.length)).toEqual([5, 5]);
    expect((await allPages(user, { pageSize: 10 })).map((page) => page.length)).toEqual([10]);
    expect((await allPages(user, { pageSize: 9 })).map((page) => page.length)).toEqual([9, 1]);
  });

  it('come newest first', async () => {
    const user = newUser();
    await fill(user, 30);
    const sizes = (await allPages(user, { pageSize: 7 })).flat().map(({ size }) => Number(size));
    expect(sizes).toEqual(Array.from({ length: 30 }, (_, i) => 30 - i));
  });

  it('of 7 through 10,000 files, while others insert and delete, have each once', async () => {
    const user = newUser();
    await fill(user, 10_000);
    let walking = true;
    let added = 0;
    const disturb = async () => {
      while (walking) {
        await setTimeout(10);
        await fill(user, 3, { prefix: `new${added++}-` });
        // Every 50th of the old ones goes, sooner or later: those may be missing.
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
    const lost = Array.from({ length: 10_000 }, (_, i) => i + 1)
      .filter((n) => n % 50 !== 0)
      .filter((n) => !seen.has(`${user}_f${n}`));
    expect(lost).toEqual([]);
  }, 60_000);

  it('of rows of the same microsecond have each once', async () => {
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
  ])('page_size %i gives %i', async (pageSize, expected) => {
    const user = newUser();
    await fill(user, 1_050);
    const { files, nextPageToken } = await service.as(user).listFiles({ pageSize });
    expect(files).toHaveLength(expected);
    expect(nextPageToken).not.toBe('');
  });

  it('a negative page_size is refused', async () => {
    for (const pageSize of [-1, -(2 ** 31)]) {
      expect(await failureOf(service.as(newUser()).listFiles({ pageSize }))).toMatchObject({
        code: 'InvalidArgument',
        reason: 'INVALID_PAGE_SIZE',
        fields: ['page_size'],
      });
    }
  });
});

describe('a page of the longest names', () => {
  const MIB = 1024 ** 2;
  // As long as their bytes may be, and longest in JSON.
  const LONGEST: [string, string][] = [
    ['quotes', '"'],
    ['three bytes a letter', '文'],
  ];

  it.each(LONGEST)(
    '(%s) has at most a mebibyte in either encoding, and the others come behind it',
    async (_, letter) => {
      const user = newUser();
      const name = letter.repeat(Math.floor(250 / Buffer.byteLength(letter)));
      await service.pool.query(
        `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, verified_at, url_expire_at)
       select $1, rpad($1 || '_' || n, 512, 'k'), 'ready', $2 || n, rpad('a/b; c="', 254, '\\') || '"', decode(md5(n::text), 'hex'),
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

  it('of names as people give them has a thousand', async () => {
    const user = newUser();
    await fill(user, 1_001, { prefix: 'Scan of the contract of 2026, page '.repeat(2) });
    expect((await service.as(user).listFiles({ pageSize: 1_000 })).files).toHaveLength(1_000);
  });
});

describe('filename_prefix', () => {
  it('chooses by the beginning, by case, in NFC, and nothing in it is special', async () => {
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

  it('that few names have is found among very many files, by pages of which most are empty', async () => {
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
    // Ten thousand files each; what was inserted meanwhile is in front of them.
    expect(pages.length).toBeGreaterThanOrEqual(6);
    expect(pages.length).toBeLessThanOrEqual(7);
    expect(pages.slice(0, 3).flat()).toEqual([]);
  }, 60_000);

  it('goes with its pages', async () => {
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
    expect(await failureOf(service.as(newUser()).listFiles({ filenamePrefix }))).toMatchObject({
      code: 'InvalidArgument',
      reason: 'INVALID_FILENAME',
      fields: ['filename_prefix'],
    });
  });
});

describe('a page token', () => {
  const refused = { code: 'InvalidArgument', reason: 'INVALID_PAGE_TOKEN', fields: ['page_token'] };
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

  it('is refused in any other spelling of its bytes', async () => {
    for (const pageToken of [
      `${token}=`,
      ` ${token}`,
      `${token}\n`,
      Buffer.from(token, 'base64url').toString('hex'),
    ]) {
      expect(await failureOf(service.as(user).listFiles({ pageToken }))).toMatchObject(refused);
    }
  });

  it('is refused with another prefix', async () => {
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

  it('that is forged gives a page or INVALID_PAGE_TOKEN, whatever is in it', async () => {
    // One client, and so one connection, for all of them.
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
    'of the time %i is refused',
    async (time) => {
      const pageToken = forgedPageToken({ time, key: Buffer.from(`${user}_a`) }, user);
      expect(await failureOf(service.as(user).listFiles({ pageToken }))).toMatchObject(refused);
    },
  );

  it.each([
    ['with NUL', `\0`],
    ['that is not UTF-8', Buffer.from([0xff])],
    ['above the limit', 'x'.repeat(600)],
  ])('of a key %s is refused', async (_, rest) => {
    const key = Buffer.concat([Buffer.from(`${user}_a`), Buffer.from(rest)]);
    const pageToken = forgedPageToken({ time: 1n, key }, user);
    expect(await failureOf(service.as(user).listFiles({ pageToken }))).toMatchObject(refused);
  });

  it('allows another page size', async () => {
    const { files } = await service.as(user).listFiles({ pageToken: token, pageSize: 2 });
    expect(files.map(({ size }) => Number(size))).toEqual([13, 12]);
  });

  it('still works when its file is gone', async () => {
    await service.pool.query('delete from files where user_id = $1 and size = 14', [user]);
    const { files } = await service.as(user).listFiles({ pageToken: token, pageSize: 2 });
    expect(files.map(({ size }) => Number(size))).toEqual([13, 12]);
  });
});

it('200 pending uploads whose bytes have just arrived are all in the next list', async () => {
  const user = newUser();
  const files = service.as(user);
  const contents = Array.from({ length: 200 }, (_, i) => `content ${i}`);
  const answers = await Promise.all(
    contents.map((bytes, i) =>
      files.createPresignedUpload({ filename: `${i}.txt`, mimeType: 'text/plain', md5: md5(bytes) }),
    ),
  );
  await Promise.all(answers.map((answer, i) => put(answer, contents[i] ?? '')));
  // Within its deadline, whatever that is; on a machine that runs other tests, more than the default.
  const { files: listed } = await files.listFiles({ pageSize: 1_000 }, { timeoutMs: 10_000 });
  expect(listed).toHaveLength(200);
});
