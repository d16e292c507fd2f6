/**
 * The `minimal` stack: the same responses with as little code as possible, from node:http2, pg with named
 * statements and node:crypto. It has no limits, no identity, no deadlines, no metrics and no retries, so it
 * must not be used in production.
 */
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import pg from 'pg';
import { FileState } from '../../../gen/files/v1/file_pb.ts';
import { FileService, UploadType } from '../../../gen/files/v1/file_service_pb.ts';
import type { FileRow } from '../../../src/postgres/file-row.ts';
import type { Prepared } from '../../../src/postgres/statements/prepared.ts';
import { find, listFirstPage } from '../../../src/postgres/statements/reads.ts';
import { reserve } from '../../../src/postgres/statements/reservations.ts';
import { markDeleted } from '../../../src/postgres/statements/transitions.ts';
import { DATABASE_URL, DOWNLOAD_SECONDS, POOL_SIZE, tellServing, URL_SECONDS } from './environment.ts';
import { presign } from './sigv4.ts';

const pool = new pg.Pool({
  connectionString: DATABASE_URL,
  max: POOL_SIZE,
  options: '-c plan_cache_mode=force_generic_plan -c enable_bitmapscan=off -c enable_sort=off',
});
const agent = new Agent({ keepAlive: true });
const lifetimes = { verificationTtlSeconds: 900, lifeSeconds: URL_SECONDS };

async function run<Params, Row>(
  { name, text, values }: Prepared<Params, Row>,
  params: Params,
): Promise<Row[]> {
  return (await pool.query({ name, text, values: values(params) })).rows;
}

const methods: Record<string, (user: string, body: Buffer) => Promise<Uint8Array>> = {
  async CreatePresignedUpload(userId, body) {
    const { input, output } = FileService.method.createPresignedUpload;
    const { filename, mimeType, md5 } = fromBinary(input, body);
    const fingerprint = Buffer.from(md5, 'hex');
    const base64 = fingerprint.toString('base64');
    const plan = { filename, mimeType, size: null, partSize: null, partMd5s: null };
    const slot = 1 + Math.floor(Math.random() * 30_000);
    const s3Key = `${userId}_${filename}`;
    const [row] = await run(reserve.silent, { ...lifetimes, ...plan, userId, s3Key, fingerprint, slot });
    if (row?.state === 'ready') {
      return encode(output, { type: UploadType.EXISTING, s3Key: row.s3_key, md5: base64 });
    }
    const headers = { 'content-type': mimeType, 'content-md5': base64 };
    return encode(output, {
      type: UploadType.NEW,
      s3Key,
      md5: base64,
      presignedUrl: presign('PUT', s3Key, URL_SECONDS, headers),
      requiredHeaders: { 'Content-Type': mimeType, 'Content-MD5': base64 },
      expireTime: timestampFromDate(new Date(Date.now() + URL_SECONDS * 1_000)),
    });
  },

  async ListFiles(userId, body) {
    const { input, output } = FileService.method.listFiles;
    const { filenamePrefix } = fromBinary(input, body);
    const rows = await run(listFirstPage, {
      ...lifetimes,
      userId,
      filenamePrefix,
      limit: 101,
      pendingLimit: 300,
    });
    return encode(output, { files: rows.map(toFile) });
  },

  async GetFile(userId, body) {
    const { input, output } = FileService.method.getFile;
    const [row] = await run(find, { ...lifetimes, userId, s3Key: fromBinary(input, body).s3Key });
    return encode(output, { file: toFile(row as FileRow) });
  },

  async DeleteFile(userId, body) {
    const { input, output } = FileService.method.deleteFile;
    const { s3Key } = fromBinary(input, body);
    await run(markDeleted.silent, { userId, s3Key, urlSeconds: URL_SECONDS });
    await remove(s3Key);
    return encode(output, {});
  },

  async CreatePresignedDownload(userId, body) {
    const { input, output } = FileService.method.createPresignedDownload;
    const [row] = await run(find, { ...lifetimes, userId, s3Key: fromBinary(input, body).s3Key });
    const { s3_key, filename, mime_type } = row as FileRow;
    const query = {
      'response-cache-control': 'no-store',
      'response-content-disposition': `attachment; filename="${filename}"`,
      'response-content-encoding': 'identity',
      'response-content-language': 'und',
      'response-content-type': mime_type,
      'response-expires': 'Thu, 01 Jan 1970 00:00:00 GMT',
    };
    return encode(output, {
      presignedUrl: presign('GET', s3_key, DOWNLOAD_SECONDS, {}, query),
      expireTime: timestampFromDate(new Date(Date.now() + DOWNLOAD_SECONDS * 1_000)),
      file: toFile(row as FileRow),
    });
  },
};

function toFile(row: FileRow) {
  return {
    s3Key: row.s3_key,
    filename: row.filename,
    size: BigInt(row.size ?? 0),
    lastModified: timestampFromDate(row.last_modified as Date),
    mimeType: row.mime_type,
    md5: row.fingerprint.toString('base64'),
    etag: row.etag as string,
    state: FileState.READY,
    createTime: timestampFromDate(row.create_time),
  };
}

async function remove(s3Key: string): Promise<void> {
  const request = httpRequest(presign('DELETE', s3Key, 60, {}), { method: 'DELETE', agent });
  request.end();
  const [response] = await once(request, 'response');
  response.resume();
  await once(response, 'end');
}

function encode<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Uint8Array {
  return toBinary(schema, create(schema, init) as MessageShape<Desc>);
}

const server = createServer({ settings: { maxConcurrentStreams: 1_000 } });
server.on('stream', (stream: ServerHttp2Stream, headers) => {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', async () => {
    const method = methods[String(headers[':path']).slice('/files.v1.FileService/'.length)];
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    const message = (await method?.(String(headers['x-user-id']), body.subarray(5))) as Uint8Array;
    const frame = Buffer.allocUnsafe(5 + message.length);
    frame[0] = 0;
    frame.writeUInt32BE(message.length, 1);
    frame.set(message, 5);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(frame);
  });
});
server.listen(0, '127.0.0.1', () => tellServing((server.address() as AddressInfo).port));
process.once('SIGTERM', () => process.exit());
