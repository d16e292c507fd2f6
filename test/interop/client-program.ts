import { expect } from 'vitest';

/** The names of the gRPC codes in a language. */
export interface CodeNames {
  invalidArgument: string;
  notFound: string;
  unauthenticated: string;
  unavailable: string;
}

/** Checks the output of the verb `journey` of `go/main.go` and `python/client.py`. */
export function expectJourney(printed: string, user: string, content: string, codes: CodeNames): void {
  const s3Key = `${user}_report.txt`;
  const failure = { domain: 'files.v1', metadata: {}, fields: [], retryDelaySeconds: 0 };
  expect(JSON.parse(printed)).toEqual({
    pendingState: 'FILE_STATE_PENDING',
    otherBytes: expect.stringMatching(/^PUT: 400 Bad Request: .*BadDigest/s),
    s3Key,
    type: 'UPLOAD_TYPE_NEW',
    listedFilenames: ['report.txt'],
    listedSize: content.length,
    againS3Key: s3Key,
    againType: 'UPLOAD_TYPE_EXISTING',
    state: 'FILE_STATE_READY',
    downloaded: content,
    disposition: expect.stringMatching(/^attachment; filename="report\.txt"/),
    leftAfterDelete: 0,
    invalidMd5: { ...failure, code: codes.invalidArgument, reason: 'INVALID_MD5', fields: ['md5'] },
    notFound: { ...failure, code: codes.notFound, reason: 'FILE_NOT_FOUND', metadata: { s3_key: s3Key } },
    noUser: {
      ...failure,
      code: codes.unauthenticated,
      reason: 'USER_ID_MISSING',
      metadata: { header: 'x-user-id' },
    },
  });
}

export function expectRetry(printed: string, codes: CodeNames): void {
  expect(JSON.parse(printed)).toMatchObject({ code: codes.unavailable, reason: 'DATABASE_UNAVAILABLE' });
  const { retryDelaySeconds } = JSON.parse(printed) as { retryDelaySeconds: number };
  expect(retryDelaySeconds).toBeGreaterThan(0);
}
