import { create, toBinary } from '@bufbuild/protobuf';
import pg from 'pg';
import { expect, test, vi } from 'vitest';
import { GetFileRequestSchema, ListFilesRequestSchema } from '../../gen/files/v1/file_service_pb.ts';
import { REQUEST_TIMEOUT_MS } from '../../src/rpc/limits/limits.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { total } from '../harness/metrics.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { envelope, FLAG, FRAME, frame, grpcHeaders, headerBlock, openRawHttp2 } from './http2-frames.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const service = forAllTests(() => startServiceWithServers());

/**
 * Each answer is a page of 1,000 files with the longest names, 1 MiB. All answers together are five times as large as
 * the memory limit of an HTTP/2 session (32 MB).
 */
const LISTS = 150;
const FILES = 1_000;

/**
 * SETTINGS_INITIAL_WINDOW_SIZE = 0, with which the client reads headers and trailers, but no bytes of an
 * answer.
 */
const NO_WINDOW = Buffer.from([0, 4, 0, 0, 0, 0]);

test('unread lists of one user do not delay another user on the same connection', async (context) => {
  await fill('unread');
  using gateway = await openRawHttp2(service.ports.gRPC, NO_WINDOW);
  const call = (streamId: number, user: string, method: string, message: Uint8Array) => {
    const headers = headerBlock(grpcHeaders(`/files.v1.FileService/${method}`, { 'x-user-id': user }));
    gateway.socket.write(frame(FRAME.headers, FLAG.endHeaders, streamId, headers));
    gateway.socket.write(frame(FRAME.data, FLAG.endStream, streamId, envelope(message)));
  };
  const list = toBinary(ListFilesRequestSchema, create(ListFilesRequestSchema, { pageSize: FILES }));
  const streams = Array.from({ length: LISTS }, (_, index) => 2 * index + 1);
  const startMs = performance.now();
  for (const streamId of streams) call(streamId, 'unread', 'ListFiles', list);
  await vi.waitFor(() => expect(streams.every((id) => gateway.framesOf(id).has(FRAME.headers))).toBe(true), {
    timeout: REQUEST_TIMEOUT_MS,
  });

  const get = toBinary(GetFileRequestSchema, create(GetFileRequestSchema, { s3Key: 'none' }));
  const other = 2 * LISTS + 1;
  const askedMs = performance.now();
  call(other, 'other', 'GetFile', get);
  // Not only when the unread answers are aborted, after REQUEST_TIMEOUT_MS.
  const answered = () => expect(gateway.framesOf(other)).toContain(FRAME.headers);
  await vi.waitFor(answered, REQUEST_TIMEOUT_MS / 2);
  const otherMs = performance.now() - askedMs;
  expect(gateway.framesOf(other)).not.toContain(FRAME.reset);

  // Answers that are not read are aborted at the first check of the reader, and their places become free.
  await vi.waitFor(async () => expect(await total(service.http, 'files_calls_under_way')).toBe(0), {
    timeout: 2 * REQUEST_TIMEOUT_MS,
    interval: 100,
  });
  const freedMs = performance.now() - startMs;
  expect(freedMs).toBeLessThan(REQUEST_TIMEOUT_MS + 1_500);
  const given = streams.filter((id) => gateway.framesOf(id).has(FRAME.reset)).length;
  report(
    context,
    'the other user is answered; unread answers count against their user until they are aborted',
    `${LISTS} lists of 1 MiB, ${LISTS - given} refused; the other user after ${otherMs.toFixed(0)} ms; places free after ${(freedMs / 1_000).toFixed(1)} s`,
  );
  expect(given).toBeGreaterThan(0);
  expect(given).toBeLessThan(32);
});

async function fill(user: string): Promise<void> {
  const client = new pg.Client({ connectionString: service.servers.environment.DATABASE_URL });
  await client.connect();
  await client.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, verified_at, url_expire_at)
     select $1, rpad($1 || '_' || n, 500, 'k'), 'ready', rpad(n::text, 250, 'n'), rpad('text/', 250, 'm'), decode(md5($1 || n), 'hex'),
            n, 'etag', timestamptz '2026-01-01Z' + n * interval '1 ms', now(), now()
     from generate_series(1, $2) n`,
    [user, FILES],
  );
  await client.end();
}
