/**
 * `src/cli/upload/output` has all texts that the command prints: a line for each file, the summary, the retries and the
 * progress line. Decisions about files do not belong here.
 *
 * This file reports the result of each file to a person. `json-report.ts` reports the result to a program.
 */
import type { UploadResult } from '../../../client/node.ts';
import type { Terminal } from '../../terminal.ts';
import { type Failure, failureText } from '../failure.ts';
import type { FileItem } from '../find/items.ts';
import { filesDone, type RunEnd, type Tally } from '../tally.ts';
import { countText, durationText, filesText, sizeText } from './quantities.ts';

export interface Report {
  stored(item: FileItem, result: UploadResult): void;
  failed(path: string, failure: Failure): void;
  /** A file of a dry run. */
  planned(item: FileItem, sizeBytes: number): void;
  finished(tally: Tally, run: { seconds: number; end: RunEnd }): void;
  /** The end of a dry run. */
  finishedPlan(plan: { files: number; bytes: number; failed: number }): void;
}

/** A line for each file on stdout, and for each error on stderr. */
export function textReport(terminal: Terminal): Report {
  return {
    stored: (item, result) => terminal.print(`${item.path}: ${storedText(item, result)}`),
    failed: (path, failure) => terminal.complain(`${path}: ${failureText(failure)}`),
    planned: ({ path, mimeType = MIME_TYPE_DEFAULT, filename }, sizeBytes) =>
      terminal.print(`${path}: ${sizeText(sizeBytes)}, ${mimeType}, as "${filename}"`),
    finished: (tally, { seconds, end }) => {
      if (end === 'complete' || filesDone(tally) > 0) terminal.print(summaryText(tally, seconds));
      if (end !== 'complete') terminal.complain(...UNTRIED[end]);
    },
    finishedPlan: ({ files, bytes, failed }) =>
      terminal.print(
        `${filesText(files)}, ${sizeText(bytes)}, would be uploaded${failed > 0 ? `; ${countText(failed)} cannot be` : ''}. Nothing was sent.`,
      ),
  };
}

/** The report of `--quiet`: errors only. */
export function quietReport(terminal: Terminal): Report {
  const { failed } = textReport(terminal);
  const nothing = () => {};
  return { failed, stored: nothing, planned: nothing, finished: nothing, finishedPlan: nothing };
}

/** The MIME type of a file whose extension is not known. It is also the default of the client package. */
export const MIME_TYPE_DEFAULT = 'application/octet-stream';

/** The lines that say why the run ended before all files were tried. */
const UNTRIED = {
  interrupted: ['Interrupted. Run the same command again to continue.'],
  stopped: [
    'Stopped, because the last error would meet each other file, too. Run the same command again to continue.',
  ],
};

/** From this number of files on, the summary also shows the files per second. */
const MANY_FILES = 100;

function storedText(
  { filename }: FileItem,
  { file, existing, bytesSent, bytesResumed }: UploadResult,
): string {
  const size = sizeText(Number(file.size));
  // If the service had the content already, the file keeps the name from its first upload, so the line shows that name.
  const name = file.filename === filename.normalize('NFC') ? '' : ` under the name "${file.filename}"`;
  // A file whose MD5 in the cache was wrong has sent bytes before the service knew its content.
  if (existing)
    return `already stored${name}, ${size}${bytesSent === 0 ? ' not sent' : ''}, as ${file.s3Key}`;
  const resumed = bytesResumed > 0 ? `, ${sizeText(bytesResumed)} of it by an earlier run` : '';
  return `uploaded ${size}${resumed}, as ${file.s3Key}`;
}

/** `3 files: 2 uploaded, 1 already stored. Sent 1.5 MiB in 2.0 s (768.0 KiB/s).` */
function summaryText(tally: Tally, seconds: number): string {
  const { uploaded, existing, failed, bytesSent } = tally;
  const files = filesDone(tally);
  if (files === 0) return 'No file was found.';
  const counts = [
    `${countText(uploaded)} uploaded`,
    ...(existing > 0 ? [`${countText(existing)} already stored`] : []),
    ...(failed > 0 ? [`${countText(failed)} failed`] : []),
  ];
  const rates = [
    ...(bytesSent > 0 ? [`${sizeText(bytesSent / seconds)}/s`] : []),
    ...(files >= MANY_FILES ? [`${countText(Math.round(files / seconds))} files/s`] : []),
  ];
  const time = seconds < 10 ? `${seconds.toFixed(1)} s` : durationText(seconds);
  const shown = rates.length > 0 ? ` (${rates.join(', ')})` : '';
  return `${filesText(files)}: ${counts.join(', ')}. Sent ${sizeText(bytesSent)} in ${time}${shown}.`;
}
