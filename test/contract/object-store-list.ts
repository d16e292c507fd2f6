import { ListObjectsV2Command, type ListObjectsV2CommandInput, PutObjectCommand } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, test } from 'vitest';
import { md5Hex, presign, type Subject, send } from './object-store-client.ts';

// The keys in UTF-8 order. `\uff5e` comes after the duck in UTF-16 and before the duck in UTF-8.
const keys = ['A', 'a', 'a b', 'a&<b>', 'dir/1', 'dir/2', 'dir/sub/3', 'dir0', 'z', 'ü', '\uff5e', '🦆'].map(
  (key) => `list/${key}`,
);

export function listContract(subject: () => Subject): void {
  describe('ListObjectsV2', () => {
    beforeAll(async () => {
      const { client, target } = subject();
      for (const Key of [...keys].reverse()) {
        await client.send(new PutObjectCommand({ Bucket: target.bucket, Key, Body: Key }));
      }
    });

    const list = (input: Partial<ListObjectsV2CommandInput>) =>
      subject().client.send(
        new ListObjectsV2Command({ Bucket: subject().target.bucket, Prefix: 'list/', ...input }),
      );

    async function pages(
      input: Partial<ListObjectsV2CommandInput>,
    ): Promise<{ names: string[]; sizes: number[] }> {
      const names: string[] = [];
      const sizes: number[] = [];
      let ContinuationToken: string | undefined;
      do {
        const page = await list({
          ...input,
          ...(ContinuationToken === undefined ? {} : { ContinuationToken }),
        });
        const contents = (page.Contents ?? []).map(({ Key = '' }) => Key);
        const prefixes = (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix);
        expect(page.KeyCount).toBe(contents.length + prefixes.length);
        expect(page.IsTruncated).toBe(page.NextContinuationToken !== undefined);
        names.push(...contents, ...prefixes);
        sizes.push(contents.length + prefixes.length);
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken !== undefined);
      return { names, sizes };
    }

    test('lists in the order of UTF-8 bytes, with size, ETag and time', async () => {
      const page = await list({});
      expect(page.Contents?.map(({ Key }) => Key)).toEqual(keys);
      const [first] = page.Contents ?? [];
      expect(first).toMatchObject({ Size: 6, ETag: `"${md5Hex(Buffer.from('list/A'))}"` });
      expect(Math.abs((first?.LastModified?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
      expect([page.KeyCount, page.IsTruncated, page.MaxKeys]).toEqual([keys.length, false, 1000]);
    });

    test.each([1, 5, 6, 11, 12, 13])('lists every key once in pages of %i', async (MaxKeys) => {
      const { names, sizes } = await pages({ MaxKeys });
      expect(names).toEqual(keys);
      // If the last page is exactly full, the server must not announce another page.
      expect(sizes).toHaveLength(Math.ceil(keys.length / MaxKeys));
    });

    test('starts after a key, whether the key exists or not', async () => {
      expect((await pages({ StartAfter: 'list/dir/2' })).names).toEqual(keys.slice(6));
      expect((await pages({ StartAfter: 'list/dir/11' })).names).toEqual(keys.slice(5));
      expect((await pages({ StartAfter: 'zzz' })).names).toEqual([]);
    });

    test.each([1, 2, 1000])(
      'folds keys below a delimiter into one prefix, in pages of %i',
      async (MaxKeys) => {
        const { names } = await pages({ Delimiter: '/', MaxKeys });
        const expected = keys.filter((key) => !key.startsWith('list/dir/')).concat('list/dir/');
        expect([...names].sort()).toEqual([...expected].sort());
        const below = await pages({ Delimiter: '/', Prefix: 'list/dir/', MaxKeys });
        expect([...below.names].sort()).toEqual(['list/dir/1', 'list/dir/2', 'list/dir/sub/']);
      },
    );

    test('returns an empty list for a prefix that no key has', async () => {
      expect(await list({ Prefix: 'list/nothing/' })).toMatchObject({ KeyCount: 0, IsTruncated: false });
    });

    test('encodes the keys with encoding-type=url', async () => {
      // S3 writes a space as "+", RGW and the development store as "%20".
      const page = await list({ EncodingType: 'url' });
      const decoded = page.Contents?.map(({ Key = '' }) => decodeURIComponent(Key.replaceAll('+', '%20')));
      expect(decoded).toEqual(keys);
      expect(page.Contents?.at(-1)?.Key).toMatch(/list(\/|%2F)%F0%9F%A6%86/);
    });

    test('answers NoSuchBucket for a missing bucket', async () => {
      const target = { ...subject().target, bucket: 'no-such-bucket-here' };
      const answer = await send(
        await presign(target, { method: 'GET', key: '', query: { 'list-type': '2' } }),
      );
      expect([answer.status, answer.code]).toEqual([404, 'NoSuchBucket']);
    });
  });
}
