import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { expect, test, vi } from 'vitest';
import { md5 } from '../harness/random.ts';
import type { LogLine } from '../harness/service-process.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';

vi.setConfig({ testTimeout: 60_000 });

const SDK = pathToFileURL(join(import.meta.dirname, 'print-spans.ts')).href;
const CALLER = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };

test('an SDK loaded with --import gets spans of calls, their caller, Postgres and S3', async () => {
  await using service = await startServiceWithServers({
    environment: { NODE_OPTIONS: `--import=${SDK}` },
  });
  const traceparent = `00-${CALLER.traceId}-${CALLER.spanId}-01`;
  const traced = service.client({ 'x-user-id': 'ada', traceparent });
  const upload = { filename: 'a.txt', mimeType: 'text/plain', md5: md5('a') };
  await traced.createPresignedUpload(upload);
  await traced.listFiles({}); // verifies the object in S3
  const untraced = service.client({ 'x-user-id': 'ada' });
  await expect(untraced.getFile({ s3Key: 'ada_none.txt' })).rejects.toThrow('[not_found]');
  await service.stop();

  const spans = service.log().filter(({ msg }) => msg === 'span');
  const list = call(spans, 'ListFiles');
  expect(list).toMatchObject({ parent: CALLER.spanId, traceId: CALLER.traceId, kind: SpanKind.SERVER });
  expect(list.attributes).toEqual({
    'rpc.system': 'grpc',
    'rpc.service': 'files.v1.FileService',
    'rpc.method': 'ListFiles',
  });
  const steps = spans.filter(({ parent }) => parent === list.spanId);
  expect(steps.map(({ name }) => name)).toEqual(expect.arrayContaining(['s3 HeadObject']));
  expect(steps.filter(({ name }) => !String(name).startsWith('s3 ')).length).toBeGreaterThan(0);
  for (const step of steps) expect(step).toMatchObject({ traceId: CALLER.traceId, kind: SpanKind.CLIENT });

  const create = call(spans, 'CreatePresignedUpload');
  expect(create).toMatchObject({ parent: CALLER.spanId });
  expect(spans.filter(({ parent }) => parent === create.spanId).length).toBeGreaterThan(0);

  const failed = call(spans, 'GetFile');
  expect(failed.parent).toBeUndefined();
  expect(failed.status).toEqual({ code: SpanStatusCode.ERROR, message: 'FILE_NOT_FOUND' });
});

function call(spans: LogLine[], method: string): LogLine {
  const found = spans.filter(({ name }) => name === `files.v1.FileService/${method}`);
  expect(found, method).toHaveLength(1);
  return found[0] ?? { msg: '' };
}
