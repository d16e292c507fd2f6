/** S3 answers and refuses, because a setting, the bucket or a policy is wrong: that is not an outage. */
import { expect, it } from 'vitest';
import { openTestBucket } from '../harness/bucket.ts';
import { createDatabase } from '../harness/database.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { scrape } from '../harness/metrics.ts';
import { md5, newUser } from '../harness/random.ts';
import { type RefusingS3, startRefusingS3 } from '../harness/refusing-s3.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { startService } from '../harness/service-process.ts';

const database = forAllTests(createDatabase);
const bucket = forAllTests(async () => {
  const opened = await openTestBucket();
  return Object.assign(opened, { [Symbol.asyncDispose]: () => opened.stop() });
});
const proxy = forAllTests(() => startRefusingS3(bucket.endpoint));

const CALLS = 20;

/** Each call may send a HEAD, a GET that asks for the code, and a question about the bucket. */
const REQUESTS_PER_CALL_MAX = 3;

interface Case {
  name: string;
  environment?: Record<string, string>;
  refuse?: RefusingS3['refuse'];
  status: number;
  code: string;
  advice: RegExp;
}

const CASES: Case[] = [
  {
    name: 'a wrong secret',
    environment: { AWS_SECRET_ACCESS_KEY: 'wrong' },
    status: 403,
    code: 'SignatureDoesNotMatch',
    advice: /set AWS_SECRET_ACCESS_KEY to the right secret/,
  },
  {
    name: 'a missing bucket',
    environment: { S3_BUCKET: 'a-bucket-that-is-missing' },
    status: 404,
    code: 'NoSuchBucket',
    advice: /set S3_BUCKET and S3_ENDPOINT to an existing bucket/,
  },
  {
    name: 'a role that may do nothing',
    refuse: () => ({ status: 403, code: 'AccessDenied' }),
    status: 403,
    code: 'AccessDenied',
    advice: /allow the role of the service this action/,
  },
  {
    name: 'a server that supports nothing',
    refuse: () => ({ status: 501, code: 'NotImplemented' }),
    status: 501,
    code: 'NotImplemented',
    advice: /use an S3 server that supports this request/,
  },
  {
    name: 'a redirect to another region',
    refuse: () => ({
      status: 301,
      code: 'PermanentRedirect',
      headers: { 'x-amz-bucket-region': 'eu-west-9' },
    }),
    status: 301,
    code: 'PermanentRedirect',
    advice: /set S3_REGION, .* to the region of the bucket \(eu-west-9\)$/,
  },
  {
    name: 'another region in signatures',
    refuse: () => ({ status: 400, code: 'AuthorizationHeaderMalformed' }),
    status: 400,
    code: 'AuthorizationHeaderMalformed',
    advice: /set S3_REGION/,
  },
];

it.each(CASES)(
  '$name gives one sentence in log, metric and /readyz, and no retry storm',
  async ({ environment = {}, refuse = () => undefined, status, code, advice }) => {
    proxy.refuse = refuse;
    await using service = await startService({
      environment: {
        DATABASE_URL: database.url,
        MIGRATE_ON_START: 'true',
        ...s3Environment({
          bucket: bucket.bucket,
          region: bucket.region,
          credentials: bucket.credentials,
          endpoint: proxy.endpoint,
        }),
        S3_PUBLIC_ENDPOINT: bucket.endpoint,
        SWEEP_INTERVAL_SECONDS: '3600',
        ...environment,
      },
    });
    const files = service.client({ 'x-user-id': newUser() });
    const file = { filename: 'a.mp4', mimeType: 'video/mp4', md5: md5('a') };
    // A list, a new upload and a delete need no answer of S3.
    const { s3Key } = await files.createPresignedUpload(file);
    expect((await files.listFiles({})).files).toEqual([]);

    const multipart = { ...file, size: 1n, partMd5s: [Buffer.from(md5('a'), 'base64')] };
    proxy.requests = [];
    for (let i = 0; i < CALLS; i++) {
      expect(await failureOf(files.createMultipartUpload(multipart))).toMatchObject({
        code: 'FailedPrecondition',
        reason: 'STORAGE_REFUSED',
        retries: false,
      });
    }
    for (let i = 0; i < CALLS; i++) await files.getFile({ s3Key }).catch(() => undefined);
    const ofCalls = proxy.requests.filter(({ path }) => path.includes('_a'));
    expect(ofCalls.length).toBeLessThanOrEqual(2 * CALLS * REQUESTS_PER_CALL_MAX);
    await files.deleteFile({ s3Key });

    const sentence = (operation: string) => `S3 refused ${operation} with ${status} ${code}: `;
    for (const operation of ['HeadBucket', 'CreateMultipartUpload', 'HeadObject']) {
      const lines = service.log().filter(({ msg }) => String(msg).startsWith(sentence(operation)));
      expect(lines).toMatchObject([{ operation, status, code, msg: expect.stringMatching(advice) }]);
      const labels = { operation, status: String(status), code };
      expect(await scrape(service.http, 'files_s3_refusals_total', labels)).toHaveLength(1);
    }
    const readiness = await fetch(`${service.http}/readyz`);
    expect(readiness.status).toBe(200);
    expect(await readiness.json()).toMatchObject({
      database: true,
      storage: false,
      refusals: expect.arrayContaining([expect.stringContaining(sentence('HeadBucket'))]),
    });
    // No line of the log may say that S3 is down.
    const text = JSON.stringify(service.log());
    expect(text).not.toContain('does not answer');
    expect(text).not.toContain('S3 did not answer');
    await service.stop();
  },
);
