import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import type { FileError } from '../../src/files/file-error.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { createBreakers } from '../../src/overload/circuit-breaker.ts';
import { listPages } from '../../src/s3/list-pages.ts';
import { createMultipartStore } from '../../src/s3/multipart-uploads.ts';
import { createSend } from '../../src/s3/send.ts';

/** Reads pages that are numbers; `next` is the number of the page after each. */
async function read(next: (page: number) => number | undefined) {
  const pages: number[] = [];
  const listing = listPages(
    'List',
    async ({ at = '0' }) => Number(at),
    (page) => {
      const after = next(page);
      return after === undefined ? undefined : { at: String(after) };
    },
  );
  try {
    for await (const page of listing) pages.push(page);
    return { pages };
  } catch (error) {
    return { pages, message: (error as Error).message };
  }
}

/** A server that gives one answer to every request. */
async function answering(body: string) {
  const server = createServer((_, response) => {
    answered.requests++;
    response.setHeader('content-type', 'application/xml');
    response.end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'r',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    forcePathStyle: true,
  });
  const answered = {
    client,
    requests: 0,
    async [Symbol.asyncDispose]() {
      client.destroy();
      server.close();
      server.closeAllConnections();
    },
  };
  return answered;
}

describe('a listing', () => {
  it('is read to its end', async () => {
    expect(await read((page) => (page < 1_000 ? page + 1 : undefined))).toEqual({
      pages: Array.from({ length: 1_001 }, (_, i) => i),
    });
  });

  it.each([1, 2, 3, 7, 100])('ends when its markers repeat after %i pages', async (length) => {
    const { pages, message } = await read((page) => (page < 50 + length ? page + 1 : 51));
    expect(message).toMatch(/^List repeated its marker/);
    expect(pages.length).toBeLessThan(4 * (50 + length));
  });
});

describe('a multipart upload on a server whose markers do not advance', () => {
  it.each([
    ['parts', 'ListPartsResult', '<NextPartNumberMarker>1</NextPartNumberMarker>'],
    ['uploadsOf', 'ListMultipartUploadsResult', '<NextKeyMarker>k</NextKeyMarker>'],
  ] as const)('%s is an error, before the deadline', async (method, element, marker) => {
    await using server = await answering(`<${element}><IsTruncated>true</IsTruncated>${marker}</${element}>`);
    const store = createMultipartStore(
      server.client,
      'bucket',
      createSend((_, run) => run()),
    );
    const call = { userId: 'u', deadline: Date.now() + 5_000 };
    const error = await store[method](call, parseS3Key('u_k'), 'id').catch((caught) => caught as FileError);
    expect(error).toMatchObject({ reason: 'STORAGE_UNAVAILABLE' });
    expect((error as FileError).cause).toMatchObject({
      message: expect.stringContaining('repeated its marker'),
    });
    expect(server.requests).toBe(2);
  });
});

describe('an entry of a listing without a field', () => {
  const part = '<PartNumber>1</PartNumber><Size>5</Size><ETag>"e"</ETag>';
  const upload = '<Key>u_k</Key><UploadId>id</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated>';
  const without = (entry: string, field: string) => entry.replace(new RegExp(`<${field}>.*</${field}>`), '');

  it.each([
    ['parts', 'ListParts', 'Part', part, 'PartNumber'],
    ['parts', 'ListParts', 'Part', part, 'Size'],
    ['parts', 'ListParts', 'Part', part, 'ETag'],
    ['uploadsOf', 'ListMultipartUploads', 'Upload', upload, 'Key'],
    ['uploadsOf', 'ListMultipartUploads', 'Upload', upload, 'UploadId'],
    ['uploadsOf', 'ListMultipartUploads', 'Upload', upload, 'Initiated'],
  ] as const)(
    '%s is an error and not an outage (%s, %s%s without %s)',
    async (method, operation, element, entry, field) => {
      await using server = await answering(
        `<${operation}Result><IsTruncated>false</IsTruncated><${element}>${without(entry, field)}</${element}></${operation}Result>`,
      );
      const breakers = createBreakers(1);
      const store = createMultipartStore(
        server.client,
        'bucket',
        createSend((_, run) => run(), breakers),
      );
      const call = { userId: 'u', deadline: Date.now() + 5_000 };
      const error = await store[method](call, parseS3Key('u_k'), 'id').catch((caught) => caught as FileError);
      expect(error).toMatchObject({
        reason: 'STORAGE_UNAVAILABLE',
        message: expect.stringContaining('cannot use'),
      });
      expect((error as FileError).cause).toMatchObject({ message: expect.stringContaining(field) });
      expect(breakers.reads.open).toBe(false);
    },
  );
});
