import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FileSchema } from '../../../gen/files/v1/file_pb.ts';
import { jsonReport } from '../../../src/cli/upload/output/json-report.ts';
import { textReport } from '../../../src/cli/upload/output/report.ts';
import { emptyTally, type RunEnd, type Tally } from '../../../src/cli/upload/tally.ts';
import type { UploadResult } from '../../../src/client/node.ts';
import { captureTerminal } from '../../harness/captured-terminal.ts';

const item = (filename: string) => ({ path: `photos/${filename}`, filename, source: '' });

const result = (changes: Partial<UploadResult>, filename = 'a'): UploadResult => ({
  file: create(FileSchema, { filename, s3Key: 'ada_a', size: 3_072n }),
  existing: false,
  bytesSent: 3_072,
  bytesResumed: 0,
  ...changes,
});

/** The summary that the command prints for this run. */
function summary(tally: Partial<Tally>, seconds: number, end: RunEnd = 'complete') {
  const { terminal, report } = reporting();
  report.finished({ ...emptyTally(), ...tally }, { seconds, end });
  return { stdout: terminal.stdout, stderr: terminal.stderr };
}

function reporting() {
  const terminal = captureTerminal();
  return { terminal, report: textReport(terminal) };
}

describe('the line of a file', () => {
  it('shows how much of it an earlier run has sent', () => {
    const { terminal, report } = reporting();
    report.stored(item('a'), result({ bytesSent: 1_024, bytesResumed: 2_048 }));
    expect(terminal.stdout).toBe('photos/a: uploaded 3.0 KiB, 2.0 KiB of it by an earlier run, as ada_a\n');
  });

  it('shows no other name if the service has only composed the characters of the name', () => {
    const decomposed = 'Gru\u0308ße';
    const { terminal, report } = reporting();
    report.stored(item(decomposed), result({ existing: true, bytesSent: 0 }, decomposed.normalize('NFC')));
    expect(terminal.stdout).toBe(`photos/${decomposed}: already stored, 3.0 KiB not sent, as ada_a\n`);
  });

  it('of --json has the bytes of an earlier run', () => {
    const terminal = captureTerminal();
    jsonReport(terminal).stored(item('a'), result({ bytesSent: 1_024, bytesResumed: 2_048 }));
    expect(JSON.parse(terminal.stdout)).toMatchObject({ bytesSent: 1_024, bytesResumed: 2_048 });
  });
});

describe('the summary', () => {
  it('has the speed in bytes, and from 100 files on also in files', () => {
    expect(summary({ uploaded: 99, bytesSent: 4_096 }, 2)).toEqual({
      stdout: '99 files: 99 uploaded. Sent 4.0 KiB in 2.0 s (2.0 KiB/s).\n',
      stderr: '',
    });
    expect(summary({ uploaded: 3_000, existing: 1_000, failed: 1 }, 9.96).stdout).toBe(
      '4,001 files: 3,000 uploaded, 1,000 already stored, 1 failed. Sent 0 B in 10.0 s (402 files/s).\n',
    );
  });

  it('has a long duration in minutes and hours', () => {
    expect(summary({ uploaded: 1 }, 12.1).stdout).toContain('in 13 s.');
    expect(summary({ uploaded: 1 }, 4_000).stdout).toContain('in 1 h 7 min.');
  });

  it.each([
    ['interrupted', 'Interrupted. Run the same command again to continue.\n'],
    [
      'stopped',
      'Stopped, because the last error would meet each other file, too. Run the same command again to continue.\n',
    ],
  ] as const)('of a run that was %s says how to continue', (end, stderr) => {
    expect(summary({}, 1, end)).toEqual({ stdout: '', stderr });
    expect(summary({ uploaded: 1 }, 1, end)).toEqual({
      stdout: '1 file: 1 uploaded. Sent 0 B in 1.0 s.\n',
      stderr,
    });
  });
});
