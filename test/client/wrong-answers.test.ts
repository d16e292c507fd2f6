import { type Client, createClient, createRouterTransport } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { FileService, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { type UploadItem, type UploadOutcome, uploadFile, uploadMany } from '../../src/client/node.ts';
import { publishedPartBytes } from '../../src/client/upload/multipart/part-plan.ts';

/** TypeScript checks the files for browsers with types of browsers, which the tests do not have. */
const BROWSER: string = '../../src/client/browser.ts';
const { uploadFile: uploadInBrowser }: { uploadFile: typeof uploadFile } = await import(BROWSER);

const existing = (md5: string, s3Key: string) => ({ type: UploadType.EXISTING, s3Key, md5 });
const ready = (s3Key: string, size: number) => ({ s3Key, size: BigInt(size), state: FileState.READY });

interface Wrong {
  s3Key?: string;
  size?: number;
  /** Gets the number of results of each batch. The results are then in another order, if there are two or more. */
  onMixedBatch?: (results: number) => void;
}

/** A service that has all contents already, and gives wrong answers where `wrong` says so. */
function serviceWith(wrong: Wrong): Client<typeof FileService> {
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
          if (wrong.onMixedBatch === undefined) return { results };
          wrong.onMixedBatch(results.length);
          return { results: [...results.slice(1), ...results.slice(0, 1)] };
        },
        batchGetFiles: ({ s3Keys }) => ({ files: s3Keys.map(file) }),
      });
    }),
  );
}

/** A service that requires these headers. No server listens at its URLs. */
function serviceThatRequires(requiredHeaders: Record<string, string>): Client<typeof FileService> {
  const upload = { s3Key: 'a.txt', type: UploadType.NEW };
  const presignedUrl = 'http://127.0.0.1:1/a.txt';
  return createClient(
    FileService,
    createRouterTransport((router) => {
      router.service(FileService, {
        createPresignedUpload: ({ md5 }) => ({ ...upload, md5, presignedUrl, requiredHeaders }),
        createMultipartUpload: () => ({
          ...upload,
          partSize: BigInt(publishedPartBytes(5)),
          missingPartNumbers: [1],
        }),
        createPresignedParts: () => ({ parts: [{ partNumber: 1, presignedUrl, requiredHeaders }] }),
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
    const batches: number[] = [];
    const service = serviceWith({ onMixedBatch: (results) => batches.push(results) });
    const items = Array.from({ length: 32 }, (_, i) => ({
      source: Buffer.from(`${i}`),
      filename: `${i}.txt`,
    }));
    await uploadMany(service, items, { onOutcome: (one) => void outcomes.push(one) });
    const errors = outcomes.flatMap((one) => ('error' in one ? [String(one.error)] : []));
    // On a loaded machine some files may be late for the batch of the others.
    const alone = batches.filter((results) => results === 1).length;
    expect(alone).toBeLessThan(items.length);
    expect(outcomes).toHaveLength(items.length);
    expect(errors).toHaveLength(items.length - alone);
    for (const error of errors) expect(error).toContain('for another content');
  });

  it.each([
    ['Node', uploadFile, Buffer.from('bytes'), 6],
    ['Node', uploadFile, Buffer.from('bytes'), 4],
    ['a browser', uploadInBrowser, new Blob(['bytes']), 6],
    ['a browser', uploadInBrowser, new Blob(['bytes']), 4],
  ] as const)(
    'in %s, a PUT of another length than the file has: it is not sent',
    async (_, send, source, length) => {
      const client = serviceThatRequires({ 'Content-Length': String(length) });
      const message = `the service requires a PUT of ${length} bytes, but 5 are to be sent`;
      await expect(send(client, source, { filename: 'a.txt' })).rejects.toThrow(message);
      // The whole source is one part.
      const options = { filename: 'a.txt', multipartFromBytes: 1 };
      await expect(send(client, source, options)).rejects.toThrow(message);
    },
  );

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
