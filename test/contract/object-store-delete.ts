import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { presign, type Subject, send } from './object-store-client.ts';

export function deleteContract(subject: () => Subject): void {
  describe('DELETE', () => {
    test('removes the object, and answers 204 for a missing object as well', async () => {
      const { client, target } = subject();
      const object = { Bucket: target.bucket, Key: 'delete/one' };
      await client.send(new PutObjectCommand({ ...object, Body: 'x' }));
      const first = await client.send(new DeleteObjectCommand(object));
      expect(first.$metadata.httpStatusCode).toBe(204);
      await expect(client.send(new HeadObjectCommand(object))).rejects.toMatchObject({ name: 'NotFound' });
      expect((await client.send(new DeleteObjectCommand(object))).$metadata.httpStatusCode).toBe(204);
    });

    test('works with a presigned URL, and only with the signed method', async () => {
      const { client, target } = subject();
      await client.send(new PutObjectCommand({ Bucket: target.bucket, Key: 'delete/url', Body: 'x' }));
      const url = await presign(target, { method: 'DELETE', key: 'delete/url' });
      expect((await send(url)).status).toBe(403);
      expect((await send(url, { method: 'DELETE' })).status).toBe(204);
      expect((await send(await presign(target, { method: 'GET', key: 'delete/url' }))).status).toBe(404);
    });

    test('of many keys removes existing ones and accepts missing ones, also with special characters', async () => {
      const { client, target } = subject();
      const keys = ['delete/a & b', 'delete/<c>', 'delete/ü "d"', 'delete/🦆'];
      for (const Key of keys)
        await client.send(new PutObjectCommand({ Bucket: target.bucket, Key, Body: 'x' }));
      const Objects = [...keys, 'delete/never-there'].map((Key) => ({ Key }));
      const answer = await client.send(
        new DeleteObjectsCommand({ Bucket: target.bucket, Delete: { Objects } }),
      );
      expect(answer.Deleted?.map(({ Key }) => Key).sort()).toEqual(Objects.map(({ Key }) => Key).sort());
      expect(answer.Errors ?? []).toEqual([]);
      for (const Key of keys) {
        const head = client.send(new HeadObjectCommand({ Bucket: target.bucket, Key }));
        await expect(head).rejects.toMatchObject({ name: 'NotFound' });
      }
    });

    test('of many keys in quiet mode lists no deleted keys', async () => {
      const { client, target } = subject();
      const Delete = { Objects: [{ Key: 'delete/quiet' }], Quiet: true };
      const answer = await client.send(new DeleteObjectsCommand({ Bucket: target.bucket, Delete }));
      expect(answer.Deleted ?? []).toEqual([]);
    });
  });
}
