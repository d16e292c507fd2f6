import { describe, expect, it } from 'vitest';
import type { ProbeRequest, S3Answer } from '../../src/doctor/s3/send.ts';
import { createTraces, KEY_PREFIX } from '../../src/doctor/s3/traces.ts';

const HOUR_MS = 3_600_000;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
const answer = (body = '', headers = {}): S3Answer => ({ status: 200, code: '', headers, body });

/** A bucket that records the requests and answers them with `respond`. */
function bucket(respond: (request: ProbeRequest) => S3Answer) {
  const sent: string[] = [];
  const traces = createTraces(async (request) => {
    sent.push(
      `${request.method} ${request.key}${new URLSearchParams(request.query).toString().replace(/^/, '?')}`,
    );
    return respond(request);
  });
  const put = (key: string, received: Promise<S3Answer>, query = {}) =>
    traces.record({ method: 'PUT', key, query, body: Buffer.from('abc') }, received);
  return { traces, put, deleted: () => sent.filter((line) => line.startsWith('DELETE')) };
}

describe('the traces of a run', () => {
  it('are removed with every version of the objects', async () => {
    const { traces, put, deleted } = bucket(({ method, query }) =>
      method === 'DELETE' && query === undefined ? answer('', { 'x-amz-version-id': 'marker' }) : answer(),
    );
    await put('key', Promise.resolve(answer('', { 'x-amz-version-id': 'one' })));
    await put('key', Promise.resolve(answer('', { 'x-amz-version-id': 'two' })));
    expect(await traces.remove()).toEqual([]);
    expect(deleted()).toEqual([
      'DELETE key?',
      'DELETE key?versionId=one',
      'DELETE key?versionId=two',
      'DELETE key?versionId=marker',
    ]);
    expect(traces.requests).toBe(8);
    expect(traces.bytes).toBe(6);
  });

  it('are removed after the requests under way have ended, whatever their answer', async () => {
    const { traces, put, deleted } = bucket(() => answer());
    const { promise, reject } = Promise.withResolvers<S3Answer>();
    const stored = put('key', promise).catch(() => 'failed');
    const removal = traces.remove();
    await new Promise(setImmediate);
    expect(deleted()).toEqual([]);
    reject(new Error('the connection broke'));
    await removal;
    expect(await stored).toBe('failed');
    expect(deleted()).toEqual(['DELETE key?']);
  });

  it('that S3 did not remove are returned', async () => {
    const mine = `${KEY_PREFIX}mine`;
    const contents = `<Contents><Key>${mine}</Key><LastModified>${ago(0)}</LastModified></Contents>`;
    const { traces, put } = bucket(({ query }) => answer(query && 'list-type' in query ? contents : ''));
    await put(mine, Promise.resolve(answer()));
    expect(await traces.remove()).toEqual([mine]);
  });
});

it('what a killed run has left is removed after an hour, and younger objects and uploads are not', async () => {
  const [old, young] = [`${KEY_PREFIX}old`, `${KEY_PREFIX}young`];
  const { traces, deleted } = bucket(({ query = {} }) => {
    if ('list-type' in query) {
      return answer(
        `<Contents><Key>${old}</Key><LastModified>${ago(2 * HOUR_MS)}</LastModified></Contents>` +
          `<Contents><Key>${young}</Key><LastModified>${ago(HOUR_MS / 2)}</LastModified></Contents>`,
      );
    }
    return answer(
      `<Upload><Key>${old}</Key><UploadId>1</UploadId><Initiated>${ago(2 * HOUR_MS)}</Initiated></Upload>` +
        `<Upload><Key>${young}</Key><UploadId>2</UploadId><Initiated>${ago(0)}</Initiated></Upload>`,
    );
  });
  expect(await traces.remove()).toEqual([]);
  expect(deleted().sort()).toEqual([`DELETE ${old}?`, `DELETE ${old}?uploadId=1`]);
});

it('files and uploads of a user whose id begins as the keys of the doctor stay', async () => {
  const [file, upload] = [`${KEY_PREFIX}ada_a.txt`, `${KEY_PREFIX}0123456789ab_film.mp4`];
  const old = ago(2 * HOUR_MS);
  const { traces, deleted } = bucket(({ query = {} }) =>
    answer(
      'list-type' in query
        ? `<Contents><Key>${file}</Key><LastModified>${old}</LastModified></Contents>`
        : `<Upload><Key>${upload}</Key><UploadId>1</UploadId><Initiated>${old}</Initiated></Upload>`,
    ),
  );
  await traces.remove();
  expect(deleted()).toEqual([]);
});
