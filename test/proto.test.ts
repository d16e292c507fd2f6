/** What the proto files promise to generated code, and to readers of their comments. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { file_files_v1_error_reason } from '../gen/files/v1/error_reason_pb.ts';
import { file_files_v1_file_events_service } from '../gen/files/v1/file_events_service_pb.ts';
import { file_files_v1_file } from '../gen/files/v1/file_pb.ts';
import { file_files_v1_file_service } from '../gen/files/v1/file_service_pb.ts';
import { PART_NUMBERS_MAX } from '../src/files/rules/part-plan.ts';
import { DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS } from '../src/server/call-timeouts.ts';

const FILES = [
  file_files_v1_error_reason,
  file_files_v1_file,
  file_files_v1_file_events_service,
  file_files_v1_file_service,
];
const FOLDER = join(import.meta.dirname, '../proto/files/v1');
const SERVICE = await readFile(join(FOLDER, 'file_service.proto'), 'utf8');

/** The comment before a line, as one line of text. */
function commentBefore(line: string): string {
  const [before = ''] = SERVICE.split(line, 1);
  const comment = /((?:[ \t]*\/\/[^\n]*\n)+)[ \t]*$/.exec(before)?.[1] ?? '';
  return comment.replaceAll(/\s*\/\/\s*/g, ' ');
}

describe('generated code', () => {
  it('covers every proto file in this test', async () => {
    expect((await readdir(FOLDER)).sort()).toEqual(
      FILES.map(({ proto }) => proto.name.replace('files/v1/', '')),
    );
  });

  it.each(['google/rpc/status.proto', 'google/rpc/error_details.proto'])(
    'needs only `proto` as an import path: the copy of %s is the file of Google',
    async (file) => {
      const copy = await readFile(join(FOLDER, '../..', file), 'utf8');
      expect(copy).toBe(
        await readFile(join(FOLDER, '../../../node_modules/google-proto-files', file), 'utf8'),
      );
    },
  );

  it.each(FILES)(
    'of $name in Java has a file per class, and an outer class with the name of the file',
    ({ proto }) => {
      const { javaMultipleFiles, javaOuterClassname } = proto.options ?? {};
      expect(javaMultipleFiles).toBe(true);
      expect(javaOuterClassname).toMatch(/Proto$/);
    },
  );

  it('of the service brings the error reasons along', () => {
    expect(file_files_v1_file_service.proto.dependency).toContain('files/v1/error_reason.proto');
  });
});

describe('the comment of', () => {
  it('the service tells the default and the longest deadline', () => {
    const comment = commentBefore('service FileService {');
    expect(comment).toContain(`without a deadline has ${DEFAULT_TIMEOUT_MS / 1_000} seconds`);
    expect(comment).toContain(`counts as ${MAX_TIMEOUT_MS / 1_000} seconds`);
  });

  it.each(['CreatePresignedUpload', 'CreatePresignedParts'])(
    '%s says that the PUT must send each required header, and a body of known length',
    (method) => {
      const comment = commentBefore(`rpc ${method}(`);
      expect(comment).toMatch(/must send every header of .*`required_headers`/);
      expect(comment).toContain('a body of known length');
    },
  );

  it('part_numbers tells how many numbers a call may have', () => {
    expect(commentBefore('repeated int32 part_numbers')).toContain(`1 to ${PART_NUMBERS_MAX} numbers`);
  });
});
