import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import type { ChangeAnswer } from '../harness/s3-answers.ts';
import { startTestService } from '../harness/service.ts';
import { asListed, range, removeAll, reportOf, run, scattered, uploadFiles, withTimes } from './fixture.ts';

let user: string;
let keys: string[];
const service = forAllTests(() => startTestService({ SWEEP_INTERVAL_SECONDS: '3600' }));
beforeEach(async () => {
  user = newUser();
  keys = await uploadFiles(service, user, range(30));
});
afterEach(async () => {
  await removeAll(service);
  for (const upload of await service.bucket.uploads()) await service.bucket.abort(upload);
});

const report = async (change: ChangeAnswer, ...args: string[]) => {
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  return reportOf(service, change, args);
};

const listsUploads = (query: URLSearchParams) => query.has('uploads');
const listsObjects = (query: URLSearchParams) => query.get('list-type') === '2';

const denied = {
  status: 403,
  body: '<Error><Code>AccessDenied</Code><Message>no permission</Message></Error>',
};

/** Gives the first page again and again, and says in each answer that more follows, after these markers. */
function truncated(isListing: (query: URLSearchParams) => boolean, markers: string): ChangeAnswer {
  let first: string | undefined;
  return (query, answer) => {
    if (!isListing(query)) return answer;
    first ??= answer.body
      .replace(/<(IsTruncated|Next\w*Marker)>[^<]*<\/\1>|<Next\w*Marker\/>/g, '')
      .replace(
        /<\/(ListMultipartUploadsResult|ListBucketResult)>/,
        `<IsTruncated>true</IsTruncated>${markers}</$1>`,
      );
    return { status: 200, body: first };
  };
}

describe('a list of multipart uploads', () => {
  it('counts young uploads without a row, and --repair leaves them', async () => {
    await service.bucket.beginUpload(`${user}_young.mp4`);
    const { code, text } = await run(service, ['--repair', '--json']);
    expect(JSON.parse(text)).toMatchObject({
      strayUploads: { count: 0 },
      youngUploads: { count: 1, examples: [`${user}_young.mp4`] },
    });
    expect(code).toBe(0);
    expect(await service.bucket.uploads()).toHaveLength(1);
  });

  it('that is refused makes the report partial, and the other differences are repaired', async () => {
    await service.pool.query('delete from files where s3_key = $1', [keys[0]]);
    const times = withTimes(scattered(keys.slice(0, 1)));
    const change: ChangeAnswer = (query, answer) => (listsUploads(query) ? denied : times(query, answer));
    const found = await report(change, '--repair');
    expect(found).toMatchObject({ code: 3, repaired: { orphans: 1 } });
    expect(found.incomplete).toEqual([
      expect.stringMatching(
        /^the multipart uploads could not be listed to the end: AccessDenied: no permission/,
      ),
    ]);
  });

  it.each([
    ['repeats its marker', '<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>'],
    ['has no marker', ''],
  ])('that %s ends, and none of the uploads is aborted', async (_, markers) => {
    await service.bucket.beginUpload(`${user}_stray.mp4`);
    const found = await report(truncated(listsUploads, markers), '--repair');
    expect(found).toMatchObject({ code: 3, repaired: { strayUploads: 0 } });
    expect(found.incomplete).toEqual([expect.stringMatching(/ListMultipartUploads .* marker/)]);
    expect(await service.bucket.uploads()).toHaveLength(1);
  });
});

describe('a list of objects', () => {
  it.each([
    ['repeats its marker and its keys', '<NextContinuationToken>k</NextContinuationToken>', /out of order/],
    ['has no marker', '', /ListObjectsV2 .* without a marker/],
  ])('that %s ends, and nothing is repaired', async (_, markers, reason) => {
    await service.bucket.remove(keys[29] ?? '');
    const found = await report(truncated(listsObjects, markers), '--repair');
    expect(found).toMatchObject({ code: 3, repaired: { missing: 0, orphans: 0 } });
    expect(found.incomplete).toEqual([expect.stringMatching(reason)]);
  });

  it.each(['Key', 'Size', 'ETag', 'LastModified'])(
    'with an entry without %s ends, and nothing is repaired',
    async (field) => {
      await service.bucket.remove(keys[29] ?? '');
      const change: ChangeAnswer = (query, { status, body }) => ({
        status,
        body: listsObjects(query)
          ? body.replace(
              new RegExp(`(<Contents>(?:(?!</Contents>).)*?)<${field}>[^<]*</${field}>`, 's'),
              '$1',
            )
          : body,
      });
      const found = await report(change, '--repair');
      expect(found).toMatchObject({ code: 3, repaired: { missing: 0, orphans: 0 } });
      expect(found.incomplete).toEqual([expect.stringMatching(/ListObjectsV2 without the Key, Size, ETag/)]);
    },
  );

  it('that is refused makes the report partial, and no row is compared', async () => {
    const found = await report((query, answer) => (listsObjects(query) ? denied : answer));
    expect(found).toMatchObject({ code: 3, rows: { ready: 0 }, missing: { count: 0 } });
    const whole = await report(asListed);
    expect(whole).toMatchObject({ code: 0, incomplete: [] });
  });
});
