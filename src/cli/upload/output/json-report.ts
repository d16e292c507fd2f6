import type { Terminal } from '../../terminal.ts';
import { failureText } from '../failure.ts';
import { MIME_TYPE_DEFAULT, type Report } from './report.ts';

/** The report of `--json`: one JSON object per line on stdout. Errors go to stderr, too, for a person. */
export function jsonReport(terminal: Terminal): Report {
  const print = (value: object) => terminal.print(JSON.stringify(value));
  return {
    stored: ({ path }, { file, existing, bytesSent, bytesResumed }) =>
      print({
        path,
        status: existing ? 'existing' : 'uploaded',
        filename: file.filename,
        s3Key: file.s3Key,
        sizeBytes: Number(file.size),
        mimeType: file.mimeType,
        bytesSent,
        bytesResumed,
      }),
    failed: (path, failure) => {
      print({ path, status: 'failed', error: failure.message, toDo: failure.toDo });
      terminal.complain(`${path}: ${failureText(failure)}`);
    },
    planned: ({ path, mimeType = MIME_TYPE_DEFAULT, filename }, sizeBytes) =>
      print({ path, status: 'planned', filename, sizeBytes, mimeType }),
    finished: ({ bytesStored, ...tally }, { seconds, end }) =>
      print({ summary: { ...tally, bytesTotal: bytesStored, seconds, end } }),
    finishedPlan: ({ files, bytes, failed }) =>
      print({ summary: { planned: files, failed, bytesTotal: bytes } }),
  };
}
