/**
 * Some servers obey `x-amz-*` headers that a presigned URL does not sign. Amazon S3, versitygw and the
 * development store refuse such headers. This file tests the bucket settings that src/doctor/README.md gives for such
 * servers, on a Ceph RGW.
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { type RealServer, realServer } from '../harness/real-server.ts';
import { serverName } from '../servers/s3/known-limits.ts';
import { md5Base64, presign, s3Client, send } from './object-store-client.ts';

const real = realServer();

describe.skipIf(serverName() !== 'rgw')('a bucket of a Ceph RGW with the settings of README.md', () => {
  const bucket = `settings-${randomUUID()}`;
  const target = { ...(real as RealServer), bucket, forcePathStyle: true };
  const bytes = Buffer.from('mine');
  const headers = { 'Content-Type': 'text/plain', 'Content-MD5': md5Base64(bytes) };

  async function putWith(key: string, unsigned: Record<string, string>) {
    const url = await presign(target, { method: 'PUT', key, headers });
    return send(url, { method: 'PUT', headers: { ...headers, ...unsigned }, body: bytes });
  }
  const readUnsigned = (key: string) => send(`${target.endpoint}/${bucket}/${key}`);

  test('accepts uploads, makes no object public, and copies no object of another user', async () => {
    const client = s3Client(target);
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    const policy = await readFile(join(import.meta.dirname, 'bucket-policy.json'), 'utf8');
    const Policy = policy.replaceAll('YOUR-BUCKET', bucket);
    await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
    const PublicAccessBlockConfiguration = { IgnorePublicAcls: true };
    await client.send(new PutPublicAccessBlockCommand({ Bucket: bucket, PublicAccessBlockConfiguration }));
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'other_secret.txt', Body: 'secret' }));
    client.destroy();

    expect((await putWith('plain', {})).status).toBe(200);
    const grant = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"';
    await putWith('acl', { 'x-amz-acl': 'public-read' });
    await putWith('grant', { 'x-amz-grant-read': grant });
    for (const key of ['plain', 'acl', 'grant']) expect((await readUnsigned(key)).status).toBe(403);

    const source = { 'x-amz-copy-source': `/${bucket}/other_secret.txt` };
    expect((await putWith('copy', source)).status).toBe(403);
    expect((await putWith('public-copy', { ...source, 'x-amz-acl': 'public-read' })).status).toBe(403);
    expect((await readUnsigned('public-copy')).status).toBe(403);
    const copied = await send(await presign(target, { method: 'GET', key: 'copy' }));
    expect(copied.status).toBe(404);
  });

  test('a URL of a part, which signs Content-Length and Content-MD5, copies nothing even without the policy', async () => {
    const client = s3Client(target);
    const Bucket = `parts-${randomUUID()}`;
    await client.send(new CreateBucketCommand({ Bucket }));
    await client.send(new PutObjectCommand({ Bucket, Key: 'other_secret.txt', Body: 'secret' }));
    const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'mine' }));
    const query = { partNumber: '1', uploadId: UploadId };
    // An attacker tries the right MD5 and the MD5 of a guess.
    for (const guess of ['secret', 'guess!']) {
      const signed = { 'Content-MD5': md5Base64(Buffer.from(guess)), 'Content-Length': String(guess.length) };
      const url = await presign(
        { ...target, bucket: Bucket },
        { method: 'PUT', key: 'mine', headers: signed, query },
      );
      const copy = { ...signed, 'x-amz-copy-source': `/${Bucket}/other_secret.txt` };
      expect((await send(url, { method: 'PUT', headers: copy, body: Buffer.from('zzzzzz') })).status).toBe(
        400,
      );
    }
    const { Parts = [] } = await client.send(new ListPartsCommand({ Bucket, Key: 'mine', UploadId }));
    expect(Parts).toEqual([]);
    client.destroy();
  });
});
