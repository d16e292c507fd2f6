import { fitColumns, terminalColumns } from '../../../text/columns.ts';
import { printable } from '../../../text/printable.ts';
import type { Totals } from '../find/count-files.ts';
import { countText, durationText, shareText, sizeText } from './quantities.ts';

/** The state of a run at one moment. */
export interface BarState {
  totals: Totals;
  filesDone: number;
  /** Bytes that the service has now: of complete files, and what was sent of the others. */
  bytesStored: number;
  bytesHashed: number;
  /** The path of the only file that is not done. Undefined while there are several. */
  onlyPath: string | undefined;
}

const GAP = '  ';
const BAR_COLUMNS_MIN = 8;
const BAR_COLUMNS_MAX = 40;

/** A filename that must be cut to fewer columns is not shown, because its rest tells nothing. */
const NAME_COLUMNS_MIN = 12;

/**
 * The shown speed is the mean over this time. A shorter time would make the speed jump. A longer time would show a
 * change of the speed late.
 */
const SPEED_WINDOW_MS = 4_000;

/**
 * Each file counts as this number of bytes in addition to its own, because the requests for a file take as long as
 * sending them. So the share and the remaining time are also right for ten thousand small files beside a large file.
 * The number is the quotient of two speeds that were measured on loopback: 165 MB/s with large files, and 900 small
 * files/s.
 */
const FILE_COST_BYTES = 180_000;

/** Hashing a byte takes about a fifth of the time of hashing and sending it. */
const HASHING_SHARE = 0.2;

interface Sample {
  ms: number;
  work: number;
  stored: number;
  hashed: number;
}

/**
 * The returned `render` makes the progress line for a terminal of `columns` columns. It remembers the states of the
 * last seconds, and computes the speed from them.
 */
export function createBar() {
  let samples: Sample[] = [];
  return {
    render(state: BarState, columns: number, nowMs: number): string {
      const { totals, filesDone, bytesStored: stored } = state;
      const hashed = Math.max(state.bytesHashed, stored);
      const work = workOf(filesDone, stored, hashed);
      samples = [
        ...samples.filter(({ ms }) => nowMs - ms < SPEED_WINDOW_MS),
        { ms: nowMs, work, stored, hashed },
      ];
      const speed = (of: (sample: Sample) => number) => perSecond(samples, of);
      const storing = speed((sample) => sample.stored);
      const hashing = speed((sample) => sample.hashed);
      const isHashing = storing === 0 && hashing > 0;
      // A file can grow, and a directory can get new files, after they were counted. So `work` can exceed the total.
      const total = Math.max(work, workOf(totals.files, totals.bytes, totals.bytes));
      const left = (total - work) / speed((sample) => sample.work);
      return layOut(columns, {
        share: totals.isComplete ? work / Math.max(total, 1) : undefined,
        files: totals.isComplete && totals.files <= 1 ? '' : filesDoneText(filesDone, totals),
        bytes: `${isHashing ? 'hashing ' : ''}${bytesDoneText(isHashing ? hashed : stored, totals)}`,
        speed: storing + hashing === 0 ? '' : `${sizeText(isHashing ? hashing : storing)}/s`,
        left: !totals.isComplete || storing === 0 ? '' : `${durationText(left)} left`,
        name: printable(state.onlyPath ?? ''),
      });
    },
  };
}

function workOf(files: number, stored: number, hashed: number): number {
  return files * FILE_COST_BYTES + stored * (1 - HASHING_SHARE) + hashed * HASHING_SHARE;
}

/** Returns 0 while the speed is unknown. */
function perSecond(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || last.ms === first.ms) return 0;
  return ((of(last) - of(first)) / (last.ms - first.ms)) * 1_000;
}

function filesDoneText(done: number, { files, isComplete }: Totals): string {
  return `${countText(done)}/${countText(Math.max(files, done))}${isComplete ? '' : '+'} files`;
}

function bytesDoneText(done: number, { bytes, isComplete }: Totals): string {
  return isComplete ? shareText(done, Math.max(bytes, done)) : sizeText(done);
}

interface Pieces {
  /** The share of the work that is done, from 0 to 1. Undefined while the total is unknown. */
  share: number | undefined;
  files: string;
  bytes: string;
  speed: string;
  left: string;
  name: string;
}

/**
 * A narrow terminal shows only the most important pieces. A wide terminal has a longer bar, and room for a filename.
 */
function layOut(columns: number, { share, files, bytes, speed, left, name }: Pieces): string {
  const percent = share === undefined ? '' : `${String(Math.floor(share * 100)).padStart(3)} %`;
  let room = columns + GAP.length;
  const take = (piece: string): string => {
    const needed = terminalColumns(piece) + GAP.length;
    if (piece === '' || needed > room) return '';
    room -= needed;
    return piece;
  };
  // The pieces take room in the order of their importance, which is not their order on the line.
  const taken = { percent: take(percent), files: take(files), left: take(left), speed: take(speed) };
  const drawn = share === undefined ? '' : take(' '.repeat(BAR_COLUMNS_MIN));
  const rest = { bytes: take(bytes), name: take(shortName(name, room - GAP.length)) };
  const bar = drawn && barOf(share ?? 0, Math.min(BAR_COLUMNS_MAX, BAR_COLUMNS_MIN + room));
  return [taken.percent, bar, taken.files, rest.bytes, taken.speed, taken.left, rest.name]
    .filter(Boolean)
    .join(GAP);
}

function shortName(name: string, columns: number): string {
  return columns < Math.min(terminalColumns(name), NAME_COLUMNS_MIN) ? '' : fitColumns(name, columns);
}

function barOf(share: number, columns: number): string {
  const full = Math.floor(share * columns);
  return `${'█'.repeat(full)}${'░'.repeat(columns - full)}`;
}
