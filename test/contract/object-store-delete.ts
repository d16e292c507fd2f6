import { DeleteObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
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
  });
}
