import { execFileSync } from 'node:child_process';
import { readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { failsForEachFile, failureOf, failureText } from '../../../src/cli/upload/failure.ts';
import { textReport } from '../../../src/cli/upload/output/report.ts';
import { newRunState, uploadFiles } from '../../../src/cli/upload/upload-files.ts';
import type { Descriptor } from '../../../src/client/node/descriptor.ts';
import { readToEnd } from '../../../src/client/node/read-to-end.ts';
import { UploadError } from '../../../src/client/node.ts';
import { parseFilename } from '../../../src/files/rules/filename.ts';
import { captureTerminal } from '../../harness/captured-terminal.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

/** An error of the service has details. Without them, the service did not answer. */
function refusal(code: Code, reason = 'X'): ConnectError {
  const error = new ConnectError('the words', code);
  error.details.push({ desc: ErrorInfoSchema, value: { reason, domain: 'files.v1' } });
  return error;
}

/** No file gets as far as a call. */
const NO_SERVICE = createClient(
  FileService,
  createRouterTransport(() => undefined),
);

const silence = new ConnectError('connect ECONNREFUSED', Code.Unavailable);
const system = (code: string) => Object.assign(new Error(`${code}: the words, open '/x'`), { code });

describe('a failure', () => {
  it.each([
    [system('EACCES'), 'it may not be read (EACCES). To do: ask its owner for the permission to read it.'],
    [
      system('ENOSPC'),
      'the disk for temporary files is full (ENOSPC). To do: set TMPDIR to a directory of a larger disk.',
    ],
    [
      system('EX'),
      "EX: the words, open '/x'. To do: run the same command again; it sends only what is missing.",
    ],
    [
      new UploadError('SOURCE_CHANGED', 'the file changed while it was being uploaded'),
      'the file changed while it was being uploaded. To do: run the same command again when no program writes to the file.',
    ],
    [
      silence,
      'no answer: connect ECONNREFUSED (Unavailable). To do: start the service with npm start, or check --url.',
    ],
    [
      ConnectError.from(system('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), Code.Unavailable),
      "no answer: UNABLE_TO_VERIFY_LEAF_SIGNATURE: the words, open '/x' (Unavailable). To do: set NODE_EXTRA_CA_CERTS to the file of the authority that signed the service's certificate.",
    ],
    [
      ConnectError.from(system('HPE_INVALID_CONSTANT'), Code.Unavailable),
      "no answer: HPE_INVALID_CONSTANT: the words, open '/x' (Unavailable). To do: check --url: its port does not answer by HTTP; the port of gRPC is another one.",
    ],
    [
      ConnectError.from(system('EPROTO'), Code.Unavailable),
      "no answer: EPROTO: the words, open '/x' (Unavailable). To do: check --url: its port has no TLS; try http://.",
    ],
    [
      new ConnectError('HTTP 405', Code.Unknown),
      'HTTP 405 (Unknown). To do: check --url: another or an older service answers there.',
    ],
    [
      new ConnectError('HTTP 400', Code.Internal),
      'HTTP 400 (Internal). To do: check --url: another or an older service answers there.',
    ],
    [
      refusal(Code.Internal),
      'the words (Internal). To do: run the same command again; it sends only what is missing.',
    ],
    [
      refusal(Code.Unavailable),
      'the words (Unavailable). To do: run the same command again; it sends only what is missing.',
    ],
    [
      refusal(Code.Unauthenticated),
      'the words (Unauthenticated). To do: check --user, and GATEWAY_TOKENS if the service wants a token.',
    ],
    [
      refusal(Code.PermissionDenied),
      'the words (PermissionDenied). To do: check --user, and GATEWAY_TOKENS if the service wants a token.',
    ],
    [refusal(Code.InvalidArgument), 'the words (InvalidArgument). To do: change what the message names.'],
    [
      refusal(Code.NotFound),
      'the words (NotFound). To do: check --url: another or an older service answers there.',
    ],
    [
      refusal(Code.Unimplemented),
      'the words (Unimplemented). To do: check --url: another or an older service answers there.',
    ],
    [
      refusal(Code.FailedPrecondition, 'STORAGE_REFUSED'),
      'the words (FailedPrecondition). To do: tell the operator of the service; npm run doctor finds the reason.',
    ],
    [
      refusal(Code.FailedPrecondition, 'UPLOAD_INCOMPLETE'),
      'the words (FailedPrecondition). To do: run the same command again; it sends only what is missing.',
    ],
    [
      new UploadError('STORAGE_REFUSED', 'S3 answered 404: NoSuchBucket: The bucket does not exist.'),
      'S3 answered 404: NoSuchBucket: The bucket does not exist. To do: tell the operator of the service; the answer of S3 stands here.',
    ],
    [
      new UploadError('STORAGE_UNREACHABLE', 'S3 does not answer'),
      'S3 does not answer. To do: run the same command again; it sends only what is missing.',
    ],
    [new UploadError('SOURCE_UNUSABLE', 'a is a FIFO'), 'a is a FIFO. To do: upload a regular file.'],
    ['a text', 'a text. To do: run the same command again; it sends only what is missing.'],
  ])('has words and something to do: %s', (error, text) => {
    expect(failureText(failureOf(error))).toBe(text);
  });

  it.each([
    ['a FIFO', (path: string) => void execFileSync('mkfifo', [path]), 'it is a FIFO, not a regular file'],
    [
      'a symbolic link that leads nowhere',
      (path: string) => symlink('nowhere', path),
      'it is a symbolic link to a file that does not exist',
    ],
  ])('of %s does not name its path, which the report has before the message', async (_, create, message) => {
    await using directory = await temporaryDirectory();
    const source = join(directory.path, 'name');
    await create(source);
    const terminal = captureTerminal();
    async function* items() {
      yield { path: './name', filename: 'name', source };
    }
    const options = {
      report: textReport(terminal),
      concurrency: 1,
      md5Cache: undefined,
      signal: new AbortController().signal,
      onRetry: () => undefined,
    };
    await uploadFiles(NO_SERVICE, items(), newRunState(), options);
    expect(terminal.stderr).toBe(`./name: ${message}. To do: upload a regular file.\n`);
  });

  it('of a file without an end does not name its path', async () => {
    const endless = { read: async (_: Buffer, __: number, length: number) => length };
    const error = await readToEnd(endless as unknown as Descriptor, 0, '/a b').catch((one: unknown) => one);
    expect(failureOf(error, '/a b').message).toBe('it has no size, and more than 64 MiB of content');
  });

  it('of the system without words of its own does not name the path and the call', async () => {
    // EINVAL, because this file is no link.
    const error = await readlink(import.meta.filename).catch((one: unknown) => one);
    expect(String(error)).toContain(import.meta.filename);
    expect(failureOf(error).message).toBe('EINVAL: invalid argument');
  });

  it('of a name has the words of the rule', () => {
    let failure: unknown;
    try {
      parseFilename('a\\b');
    } catch (error) {
      failure = failureOf(error);
    }
    expect(failure).toEqual({ message: expect.stringContaining('not a path'), toDo: 'rename the file' });
  });

  it.each([
    [silence, true],
    [refusal(Code.Unauthenticated), true],
    [refusal(Code.PermissionDenied), true],
    [new UploadError('STORAGE_UNREACHABLE', ''), true],
    [refusal(Code.Unavailable), false],
    [refusal(Code.InvalidArgument), false],
    [new UploadError('STORAGE_REFUSED', ''), false],
    [system('EACCES'), false],
  ])('%s meets each other file: %s', (error, expected) => {
    expect(failsForEachFile(error)).toBe(expected);
  });
});
