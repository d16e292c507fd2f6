import { createHash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { FileState } from '../gen/es/files/v1/file_pb.ts';
import { UploadType } from '../gen/es/files/v1/file_service_pb.ts';
import type { Connection, Files } from './connection.ts';
import { put, upload, uploadParts } from './upload.ts';

export async function journey(
  connection: Connection,
  withoutUser: Connection,
  [small = '', large = '', empty = '']: string[],
): Promise<object> {
  const { files, failureOf } = connection;
  const otherBytes = await sendOtherBytes(files, small);
  const uploaded = await upload(files, small, 'report.txt', 'text/plain');
  const { s3Key } = uploaded;
  const { files: listed } = await files.listFiles({});
  const again = await upload(files, small, 'report.txt', 'text/plain');
  const { file } = await files.getFile({ s3Key });
  const downloaded = await download(files, s3Key);
  const largeSeen = await sendParts(files, large);
  const emptyState = await sendNothing(files, empty);
  const batch = await createTwo(connection);
  await files.deleteFile({ s3Key });
  const noMd5 = { filename: 'report.txt', mimeType: 'text/plain', md5: 'no md5' };
  return {
    ...otherBytes,
    s3Key,
    type: typeName(uploaded.type),
    listedFilenames: listed.map(({ filename }) => filename),
    listedSize: Number(listed.reduce((sum, { size }) => sum + size, 0n)),
    againS3Key: again.s3Key,
    againType: typeName(again.type),
    state: stateName(file?.state),
    downloadedMd5: downloaded.md5,
    disposition: downloaded.disposition,
    large: largeSeen,
    emptyState,
    batch,
    leftAfterDelete: (await files.listFiles({})).files.length,
    invalidMd5: await failureOf(files.createPresignedUpload(noMd5)),
    notFound: await failureOf(files.getFile({ s3Key })),
    noUser: await withoutUser.failureOf(withoutUser.files.listFiles({})),
    tooLate: (await failureOf(tooLate(files))).code,
  };
}

/** Repeats a call with a short deadline, because grpc-web sends no deadline that has passed before it sends the call. */
async function tooLate(files: Files): Promise<void> {
  for (let tries = 0; tries < 20; tries++) await files.listFiles({}, { timeoutMs: 1 });
}

/** Announces one content and sends another, which S3 refuses. */
async function sendOtherBytes(files: Files, small: string): Promise<object> {
  const announced = {
    filename: 'grüße.txt',
    mimeType: 'text/plain',
    md5: '2942bfabb3d05332b66eb128e0842cff',
  };
  const pending = await files.createPresignedUpload(announced);
  const { s3Key } = pending;
  const { file } = await files.getFile({ s3Key });
  const refusal = await put(pending, await openAsBlob(small)).then(
    () => 'S3 accepted other bytes than were announced',
    (error: Error) => error.message,
  );
  await files.deleteFile({ s3Key });
  return { pendingState: stateName(file?.state), otherBytes: refusal };
}

async function sendParts(files: Files, large: string): Promise<object> {
  const { s3Key, type, missingPartNumbers } = await uploadParts(files, large, 'film.mp4', 'video/mp4');
  const again = await uploadParts(files, large, 'film.mp4', 'video/mp4');
  const { file } = await files.getFile({ s3Key });
  const { md5 } = await download(files, s3Key);
  await files.deleteFile({ s3Key });
  return {
    type: typeName(type),
    missingPartNumbers,
    againType: typeName(again.type),
    state: stateName(file?.state),
    size: Number(file?.size),
    downloadedMd5: md5,
  };
}

async function sendNothing(files: Files, empty: string): Promise<string> {
  const { s3Key } = await upload(files, empty, 'empty.txt', 'text/plain');
  const { file } = await files.getFile({ s3Key });
  await files.deleteFile({ s3Key });
  return stateName(file?.state);
}

/** Makes one call for two files, of which one is refused. */
async function createTwo({ files, createAll }: Connection): Promise<object> {
  const [first, second] = await createAll([
    { filename: 'first.txt', mimeType: 'text/plain', md5: '2942bfabb3d05332b66eb128e0842cff' },
    { filename: 'second.txt', mimeType: 'text/plain', md5: 'no md5' },
  ]);
  const s3Key = first?.response?.s3Key ?? '';
  const got = await files.batchGetFiles({ s3Keys: [s3Key, 'no such key'] });
  await files.deleteFile({ s3Key });
  return {
    type: typeName(first?.response?.type ?? 0),
    failure: second?.failure,
    gotFilenames: got.files.map(({ filename }) => filename),
  };
}

async function download(files: Files, s3Key: string): Promise<{ md5: string; disposition: string | null }> {
  const { presignedUrl } = await files.createPresignedDownload({ s3Key });
  const response = await fetch(presignedUrl);
  const hash = createHash('md5');
  for await (const bytes of response.body ?? []) hash.update(bytes);
  return { md5: hash.digest('hex'), disposition: response.headers.get('content-disposition') };
}

/** The names of the values in the proto. The generated code leaves their prefix out. */
const typeName = (type: number) => `UPLOAD_TYPE_${UploadType[type]}`;
const stateName = (state: number | undefined) => `FILE_STATE_${FileState[state ?? 0]}`;
