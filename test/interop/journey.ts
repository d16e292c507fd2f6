/** The test cases that every JSON tool must pass with every protocol. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { expect } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import {
  type CreatePresignedUploadResponse,
  FileService,
  UploadType,
} from '../../gen/files/v1/file_service_pb.ts';
import { failureOf } from '../harness/failure.ts';
import { md5 } from '../harness/random.ts';

export interface Tool {
  /** @throws ConnectError with the details of the failure */
  call: <Request extends DescMessage, Response extends DescMessage>(
    method: DescMethodUnary<Request, Response>,
    request: MessageInitShape<Request>,
    user?: string,
  ) => Promise<MessageShape<Response>>;
  /** Sends the bytes with the headers of the answer, and returns the status. */
  put(answer: CreatePresignedUploadResponse, bytes: string): Promise<number>;
  get(url: string): Promise<{ status: number; disposition: string; bytes: string }>;
}

const { createPresignedUpload, listFiles, getFile, createPresignedDownload, deleteFile } = FileService.method;

export async function expectWholeJourney({ call, put, get }: Tool, user: string): Promise<void> {
  const bytes = `the report of ${user}\n`;
  const asked = { filename: 'report.pdf', mimeType: 'application/pdf', md5: md5(bytes, 'hex') };

  const upload = await call(createPresignedUpload, asked, user);
  const s3Key = `${user}_report.pdf`;
  expect(upload).toMatchObject({ type: UploadType.NEW, s3Key, md5: md5(bytes, 'base64') });
  expect(upload.requiredHeaders).toEqual({
    'Content-MD5': md5(bytes, 'base64'),
    'Content-Type': 'application/pdf',
  });
  const pending = await call(getFile, { s3Key }, user);
  expect(pending.file).toMatchObject({ state: FileState.PENDING });

  expect(await put(upload, 'other bytes than were announced')).toBe(400);
  expect((await call(listFiles, {}, user)).files).toEqual([]);
  expect(await put(upload, bytes)).toBe(200);

  const ready = { s3Key, filename: 'report.pdf', size: BigInt(bytes.length), state: FileState.READY };
  const { files } = await call(listFiles, {}, user);
  expect(files).toEqual([expect.objectContaining({ ...ready, lastModified: expect.anything() })]);
  expect((await call(getFile, { s3Key }, user)).file).toMatchObject(ready);

  const again = await call(createPresignedUpload, { ...asked, md5: md5(bytes, 'base64') }, user);
  expect(again).toMatchObject({ type: UploadType.EXISTING, s3Key, presignedUrl: '' });

  const { presignedUrl } = await call(createPresignedDownload, { s3Key }, user);
  const { status, disposition, bytes: downloaded } = await get(presignedUrl);
  expect({ status, downloaded }).toEqual({ status: 200, downloaded: bytes });
  expect(disposition).toMatch(/^attachment; filename="report\.pdf"/);

  await call(deleteFile, { s3Key }, user);
  expect((await call(listFiles, {}, user)).files).toEqual([]);
}

export async function expectFailuresWithDetails({ call }: Tool, user: string): Promise<void> {
  const invalid = { filename: 'report.pdf', mimeType: 'application/pdf', md5: 'no md5' };
  expect(await failureOf(call(createPresignedUpload, invalid, user))).toMatchObject({
    code: 'InvalidArgument',
    reason: 'INVALID_MD5',
    domain: 'files.v1',
    fields: ['md5'],
  });
  expect(await failureOf(call(getFile, { s3Key: 'another-user_file' }, user))).toMatchObject({
    code: 'NotFound',
    reason: 'FILE_NOT_FOUND',
    metadata: { s3_key: 'another-user_file' },
  });
  expect(await failureOf(call(listFiles, {}))).toMatchObject({
    code: 'Unauthenticated',
    reason: 'USER_ID_MISSING',
    metadata: { header: 'x-user-id' },
  });
}

export async function expectRetryInfo({ call }: Tool, user: string): Promise<void> {
  expect(await failureOf(call(listFiles, {}, user))).toMatchObject({
    code: 'Unavailable',
    reason: 'DATABASE_UNAVAILABLE',
    retries: true,
  });
}
