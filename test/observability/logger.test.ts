import pg from 'pg';
import { expect, it } from 'vitest';
import { databaseUnavailable, storageRefused } from '../../src/files/file-error.ts';
import { RefusalError } from '../../src/files/refusal-error.ts';
import type { createLogger } from '../../src/observability/logger.ts';
import { captureLog } from './captured-log.ts';

const SECRETS = {
  signature: 'deadbeefdeadbeef',
  credential: 'AKIDEXAMPLE',
  password: 'hunter2-hunter2',
  token: 'gateway-token-0123456789',
};
const URL_WITH_SECRETS = `https://b.s3.amazonaws.com/k?X-Amz-Credential=${SECRETS.credential}%2F2026&X-Amz-Signature=${SECRETS.signature}`;

function logged(write: (log: ReturnType<typeof createLogger>) => void): string {
  const { log, text } = captureLog('trace');
  write(log);
  return text();
}

it.each<[string, (log: ReturnType<typeof createLogger>) => void]>([
  ['a URL in an error', (log) => log.error({ err: new Error(`GET ${URL_WITH_SECRETS} failed`) }, 'x')],
  [
    'a URL in the cause of an error',
    (log) => log.error({ err: new Error('outer', { cause: new Error(URL_WITH_SECRETS) }) }, 'x'),
  ],
  [
    'a database’s password in an error',
    (log) => log.error({ err: new Error(`connect postgres://app:${SECRETS.password}@db/files`) }, 'x'),
  ],
  [
    'properties that a driver attaches to an error',
    (log) =>
      log.error(
        { err: Object.assign(new Error('x'), { $response: URL_WITH_SECRETS, password: SECRETS.password }) },
        'x',
      ),
  ],
  [
    'a signed request in an error',
    (log) =>
      log.error(
        {
          err: new Error(
            `Authorization: AWS4-HMAC-SHA256 Credential=${SECRETS.credential}/2026/s3, Signature=${SECRETS.signature}, "x-amz-security-token":"${SECRETS.token}" x-amz-security-token: ${SECRETS.token}`,
          ),
        },
        'x',
      ),
  ],
  [
    'a URL in a property `presignedUrl`',
    (log) => log.info({ presignedUrl: URL_WITH_SECRETS, answer: { presignedUrl: URL_WITH_SECRETS } }, 'x'),
  ],
  [
    'a token in a property `headers`',
    (log) => log.info({ headers: { 'x-gateway-token': SECRETS.token, authorization: SECRETS.token } }, 'x'),
  ],
])('the log never contains %s', (_, write) => {
  const text = logged(write);
  expect(text).toContain('"msg":"x"');
  for (const secret of Object.values(SECRETS)) expect(text).not.toContain(secret);
});

it('logs the type, message, code, reason, stack and causes of an error', () => {
  const cause = Object.assign(new TypeError('inner'), { code: 'ECONNREFUSED' });
  const text = logged((log) => log.error({ err: new Error('outer', { cause }) }, 'x'));
  expect(JSON.parse(text).err).toMatchObject({
    type: 'Error',
    message: 'outer',
    stack: expect.stringContaining('logger.test.ts'),
    cause: { type: 'TypeError', message: 'inner', code: 'ECONNREFUSED' },
  });
});

it('logs a FileError without its stack, and with the stack of its cause', () => {
  const error = databaseUnavailable(new TypeError('inner'));
  const { err } = JSON.parse(logged((log) => log.warn({ err: error }, 'x')));
  expect(err).toEqual({
    type: 'FileError',
    message: error.message,
    reason: 'DATABASE_UNAVAILABLE',
    cause: { type: 'TypeError', message: 'inner', stack: expect.stringContaining('logger.test.ts') },
  });
});

it('logs an error that Postgres has sent without the stack of its driver', () => {
  const error = Object.assign(new pg.DatabaseError('relation "files" does not exist', 0, 'error'), {
    code: '42P01',
  });
  const { err } = JSON.parse(logged((log) => log.warn({ err: databaseUnavailable(error) }, 'x')));
  expect(err.cause).toEqual({
    type: 'DatabaseError',
    message: 'relation "files" does not exist',
    code: '42P01',
  });
});

it('logs a refusal of S3 as its sentence, without stacks and without the error of the SDK', () => {
  const refusal = { operation: 'HeadObject', status: 404, code: 'NoSuchBucket', about: 'service' } as const;
  const error = storageRefused(new RefusalError('S3 refused HeadObject', refusal, new Error('of the SDK')));
  const { err } = JSON.parse(logged((log) => log.warn({ err: error }, 'x')));
  expect(err).toEqual({
    type: 'FileError',
    message: error.message,
    reason: 'STORAGE_REFUSED',
    cause: { type: 'RefusalError', message: 'S3 refused HeadObject' },
  });
});
