/** The figures of `uploadMany` for files whose size changes between the lookup and the opening. */
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { FileService, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { createManyProgressMeter } from '../../src/client/many/many-progress.ts';
import { uploadManyOn } from '../../src/client/many/upload-many.ts';
import { type Body, ofBytes } from '../../src/client/node/memory-source.ts';
import type { Platform } from '../../src/client/upload/platform.ts';
import { watchMany } from './many-fixture.ts';

interface Changing {
  foundBytes: number;
  /** `undefined`: the file is gone. */
  openedBytes: number | undefined;
}

const platform: Platform<Changing, Body> = {
  find: async ({ foundBytes, openedBytes }) => ({
    sizeBytes: foundBytes,
    async open() {
      if (openedBytes === undefined) throw new Error('there is no such file');
      return ofBytes(Buffer.alloc(openedBytes, openedBytes));
    },
  }),
  createPutClient: () => ({ put: async () => undefined, close: () => undefined }),
};

/** Has every content already. The key of a file of this service tells its size. */
const service = createClient(
  FileService,
  createRouterTransport((router) => {
    router.service(FileService, {
      batchCreatePresignedUploads: ({ requests }) => ({
        results: requests.map(({ md5, size }) => ({
          result: { case: 'response', value: { type: UploadType.EXISTING, s3Key: `${size}`, md5 } },
        })),
      }),
      batchGetFiles: ({ s3Keys }) => ({
        files: s3Keys.map((s3Key) => ({ s3Key, size: BigInt(s3Key), state: FileState.READY })),
      }),
    });
  }),
);

const item = (foundBytes: number, openedBytes: number | undefined) => ({
  source: { foundBytes, openedBytes },
  filename: 'a.txt',
});

it.each([
  ['that grew', [item(10, 25)], 25],
  ['that shrank', [item(25, 10)], 10],
  ['that shrank to nothing', [item(25, 0)], 0],
  ['one that grew, one that shrank', [item(10, 11), item(30, 20)], 31],
  ['one that shrank, one that is gone', [item(30, 20), item(7, undefined)], 27],
] as const)('the summary counts a file %s with its size when it was opened', async (_, items, bytesTotal) => {
  const { options } = watchMany<never>();
  const summary = await uploadManyOn(platform, service, items, options as object);
  expect(summary).toMatchObject({ bytesTotal });
});

it('the total of the progress does not fall for a file that shrank, and later files make up for it', () => {
  const totals: number[] = [];
  const meter = createManyProgressMeter(() => undefined);
  const note = () => void totals.push(meter.now.bytesTotal);
  const opened = (bytesTotal: number) =>
    ({ phase: 'hashing', bytesTotal, bytesHashed: 0, bytesSent: 0, bytesResumed: 0 }) as const;
  meter.found(100);
  note();
  meter.ofFile(100)(opened(60));
  note();
  meter.found(30);
  note();
  meter.found(30);
  note();
  expect(totals).toEqual([100, 100, 100, 120]);
  expect(meter.bytesTotal).toBe(120);
});
