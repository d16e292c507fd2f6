import { type Client, createClient, createRouterTransport } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { FileService, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { type UploadItem, type UploadOutcome, uploadFile, uploadMany } from '../../src/client/node.ts';

const existing = (md5: string, s3Key: string) => ({ type: UploadType.EXISTING, s3Key, md5 });
const ready = (s3Key: string, size: number) => ({ s3Key, size: BigInt(size), state: FileState.READY });

/** A service that has all contents already, and gives wrong answers where `wrong` says so. */
function serviceWith(wrong: { s3Key?: string; size?: number; swap?: boolean }): Client<typeof FileService> {
  const file = (s3Key: string) => ready(wrong.s3Key ?? s3Key, wrong.size ?? 1);
  return createClient(
    FileService,
    createRouterTransport((router) => {
      router.service(FileService, {
        createPresignedUpload: ({ md5, filename }) => existing(md5, filename),
        getFile: ({ s3Key }) => ({ file: file(s3Key) }),
        batchCreatePresignedUploads({ requests }) {
          const results = requests.map(({ md5, filename }) => ({
            result: { case: 'response' as const, value: existing(md5, filename) },
          }));
          return { results: wrong.swap ? results.reverse() : results };
        },
        batchGetFiles: ({ s3Keys }) => ({ files: s3Keys.map(file) }),
      });
    }),
  );
}

const upload = (client: Client<typeof FileService>) =>
  uploadFile(client, Buffer.from('a'), { filename: 'a.txt' });

describe('a wrong answer is no success:', () => {
  it('the right answer is one', async () => {
    expect(await upload(serviceWith({}))).toMatchObject({ existing: true });
  });

  it.each([
    ['a file of another size', { size: 2 }],
    ['a file with another key', { s3Key: 'b.txt' }],
  ])('%s', async (_, wrong) => {
    await expect(upload(serviceWith(wrong))).rejects.toThrow(/another file for a\.txt/);
  });

  it('the results of a batch in another order', async () => {
    const outcomes: UploadOutcome<UploadItem>[] = [];
    const items = ['a', 'b'].map((text) => ({ source: Buffer.from(text), filename: `${text}.txt` }));
    await uploadMany(serviceWith({ swap: true }), items, { onOutcome: (one) => void outcomes.push(one) });
    expect(outcomes.map((one) => ('error' in one ? String(one.error) : 'stored'))).toEqual(
      items.map(() => expect.stringContaining('for another content')),
    );
  });

  it.each([
    ['that gives no parts', [0n], /cannot be sent in parts of 0$/],
    ['that gives more than 10,000 parts', [1n], /cannot be sent in parts of 1$/],
    ['below zero', [-1n], /cannot be sent in parts of -1$/],
    ['that changes from answer to answer', [5_000n, 6_000n, 7_000n], /two part sizes/],
  ])('a part size %s', async (_, sizes, message) => {
    const partSizes = sizes.values();
    const client = createClient(
      FileService,
      createRouterTransport((router) => {
        router.service(FileService, {
          createMultipartUpload: () => ({
            s3Key: 'a',
            type: UploadType.NEW,
            partSize: partSizes.next().value ?? 0n,
          }),
        });
      }),
    );
    const options = { filename: 'a', multipartFromBytes: 1 };
    await expect(uploadFile(client, Buffer.alloc(20_000), options)).rejects.toThrow(message);
  });
});
