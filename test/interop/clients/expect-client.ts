import { expect } from 'vitest';
import { md5 } from '../../harness/random.ts';
import type { CodeNames } from './language.ts';

/** Checks what the verb `journey` of a client prints. */
export function expectJourney(
  printed: string,
  user: string,
  { small, large }: { small: Buffer; large: Buffer },
  codes: CodeNames,
): void {
  const s3Key = `${user}_report.txt`;
  const failure = { domain: 'files.v1', metadata: {}, fields: [], retryDelaySeconds: 0 };
  expect(JSON.parse(printed)).toEqual({
    pendingState: 'FILE_STATE_PENDING',
    otherBytes: expect.stringMatching(/^PUT: 400: .*BadDigest/s),
    s3Key,
    type: 'UPLOAD_TYPE_NEW',
    listedFilenames: ['report.txt'],
    listedSize: small.length,
    againS3Key: s3Key,
    againType: 'UPLOAD_TYPE_EXISTING',
    state: 'FILE_STATE_READY',
    downloadedMd5: md5(small, 'hex'),
    disposition: expect.stringMatching(/^attachment; filename="report\.txt"/),
    large: {
      type: 'UPLOAD_TYPE_NEW',
      missingPartNumbers: [1, 2],
      againType: 'UPLOAD_TYPE_EXISTING',
      state: 'FILE_STATE_READY',
      size: large.length,
      downloadedMd5: md5(large, 'hex'),
    },
    emptyState: 'FILE_STATE_READY',
    batch: {
      type: 'UPLOAD_TYPE_NEW',
      failure: {
        ...failure,
        code: codes.invalidArgument,
        reason: 'INVALID_MD5',
        fields: ['requests[1].md5'],
      },
      gotFilenames: ['first.txt'],
    },
    leftAfterDelete: 0,
    invalidMd5: { ...failure, code: codes.invalidArgument, reason: 'INVALID_MD5', fields: ['md5'] },
    notFound: { ...failure, code: codes.notFound, reason: 'FILE_NOT_FOUND', metadata: { s3_key: s3Key } },
    noUser: {
      ...failure,
      code: codes.unauthenticated,
      reason: 'USER_ID_MISSING',
      metadata: { header: 'x-user-id' },
    },
    tooLate: expect.toBeOneOf([...codes.deadlineExceeded]),
  });
}

export function expectRetry(printed: string, codes: CodeNames): void {
  expect(JSON.parse(printed)).toMatchObject({ code: codes.unavailable, reason: 'DATABASE_UNAVAILABLE' });
  const { retryDelaySeconds } = JSON.parse(printed) as { retryDelaySeconds: number };
  expect(retryDelaySeconds).toBeGreaterThan(0);
}
