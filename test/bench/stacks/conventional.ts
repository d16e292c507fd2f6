/**
 * The `conventional` stack: the obvious implementation with the same packages. It uses Connect's own gRPC
 * server, Kysely queries built at each call, `getSignedUrl` and the SDK's commands. It has no limits, no
 * deadlines and no metrics, and returns the same responses.
 */
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { Kysely, PostgresDialect, type Selectable, sql } from 'kysely';
import pg from 'pg';
import { FileState } from '../../../gen/files/v1/file_pb.ts';
import { FileService, UploadType } from '../../../gen/files/v1/file_service_pb.ts';
import type { Schema } from '../../../src/postgres/schema.ts';
import {
  BUCKET,
  DATABASE_URL,
  DOWNLOAD_SECONDS,
  ENDPOINT,
  POOL_SIZE,
  REGION,
  tellServing,
  URL_SECONDS,
} from './environment.ts';

const db = new Kysely<Schema>({
  dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: DATABASE_URL, max: POOL_SIZE }) }),
});
const s3 = new S3Client({
  endpoint: ENDPOINT,
  region: REGION,
  forcePathStyle: true,
  requestChecksumCalculation: 'WHEN_REQUIRED',
});

const userOf = (context: HandlerContext) => context.requestHeader.get('x-user-id') ?? '';

const handler = connectNodeAdapter({
  routes: (router) =>
    router.service(FileService, {
      async createPresignedUpload({ filename, mimeType, md5 }, context) {
        const userId = userOf(context);
        const fingerprint = Buffer.from(md5, 'hex');
        const base64 = fingerprint.toString('base64');
        const s3Key = `${userId}_${filename}`;
        const existing = await db
          .selectFrom('files')
          .selectAll()
          .where('user_id', '=', userId)
          .where('fingerprint', '=', fingerprint)
          .where('state', '<>', 'deleted')
          .executeTakeFirst();
        if (existing?.state === 'ready') {
          return { type: UploadType.EXISTING, s3Key: existing.s3_key, md5: base64 };
        }
        await db
          .insertInto('files')
          .values({
            user_id: userId,
            s3_key: s3Key,
            state: 'pending',
            filename,
            mime_type: mimeType,
            fingerprint,
            url_expire_at: sql<Date>`now() + interval '1 hour'`,
            due_at: sql<Date>`now() + interval '30 seconds'`,
          })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
        const command = new PutObjectCommand({
          Bucket: BUCKET,
          Key: s3Key,
          ContentType: mimeType,
          ContentMD5: base64,
        });
        const presignedUrl = await getSignedUrl(s3, command, {
          expiresIn: URL_SECONDS,
          signableHeaders: new Set(['content-type', 'content-md5']),
        });
        return {
          type: UploadType.NEW,
          s3Key,
          md5: base64,
          presignedUrl,
          requiredHeaders: { 'Content-Type': mimeType, 'Content-MD5': base64 },
          expireTime: timestampFromDate(new Date(Date.now() + URL_SECONDS * 1_000)),
        };
      },

      async listFiles({ filenamePrefix }, context) {
        const rows = await db
          .selectFrom('files')
          .selectAll()
          .where('user_id', '=', userOf(context))
          .where('state', '=', 'ready')
          .where('filename', 'like', `${filenamePrefix}%`)
          .orderBy('last_modified', 'desc')
          .orderBy('s3_key', 'desc')
          .limit(101)
          .execute();
        return { files: rows.map(toFile) };
      },

      async getFile({ s3Key }, context) {
        return { file: toFile(await row(userOf(context), s3Key)) };
      },

      async deleteFile({ s3Key }, context) {
        await db
          .updateTable('files')
          .set({ state: 'deleted', due_at: sql<Date>`now() + interval '30 seconds'`, pending_slot: null })
          .where('user_id', '=', userOf(context))
          .where('s3_key', '=', s3Key)
          .execute();
        await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: s3Key }));
        return {};
      },

      async createPresignedDownload({ s3Key }, context) {
        const file = await row(userOf(context), s3Key);
        const command = new GetObjectCommand({
          Bucket: BUCKET,
          Key: s3Key,
          ResponseContentDisposition: `attachment; filename="${file.filename}"`,
          ResponseContentType: file.mime_type,
          ResponseContentEncoding: 'identity',
          ResponseContentLanguage: 'und',
          ResponseCacheControl: 'no-store',
          ResponseExpires: new Date(0),
        });
        return {
          presignedUrl: await getSignedUrl(s3, command, { expiresIn: DOWNLOAD_SECONDS }),
          expireTime: timestampFromDate(new Date(Date.now() + DOWNLOAD_SECONDS * 1_000)),
          file: toFile(file),
        };
      },
    }),
});

function row(userId: string, s3Key: string) {
  return db
    .selectFrom('files')
    .selectAll()
    .where('user_id', '=', userId)
    .where('s3_key', '=', s3Key)
    .where('state', '<>', 'deleted')
    .executeTakeFirstOrThrow();
}

function toFile(file: Selectable<Schema['files']>) {
  return {
    s3Key: file.s3_key,
    filename: file.filename,
    size: BigInt(file.size ?? 0),
    lastModified: timestampFromDate(file.last_modified as Date),
    mimeType: file.mime_type,
    md5: file.fingerprint.toString('base64'),
    etag: file.etag as string,
    state: FileState.READY,
    createTime: timestampFromDate(file.create_time),
  };
}

const server = createServer(handler);
server.listen(0, '127.0.0.1', () => tellServing((server.address() as AddressInfo).port));
process.once('SIGTERM', () => process.exit());
