import type { Progress } from '../client/node.ts';

/** The width of the bar. It is small, because the whole line must fit into a terminal of 80 columns. */
const BAR_CHARACTERS = 12;

/**
 * The speed that the line shows is the mean over this time. A shorter time would make the speed jump. A
 * longer time would show a change of the speed late.
 */
const SPEED_WINDOW_MS = 4_000;

export type ProgressLine = ReturnType<typeof createProgressLine>;

/** One line for all files: bytes done, speed, and remaining time. */
export function createProgressLine(fileCount: number) {
  const files = new Map<string, Progress>();
  let samples: { ms: number; bytes: number }[] = [];
  let verb = '';
  return {
    update: (path: string, progress: Progress): void => void files.set(path, progress),
    render(nowMs: number): string {
      const all = [...files.values()];
      const active = all.filter(({ phase }) => phase !== 'done');
      const isHashing = active.every(({ phase }) => phase === 'hashing');
      const verbNow = isHashing ? 'hashing' : 'sending';
      const total = sum(all, ({ bytesTotal }) => bytesTotal);
      const done = sum(all, isHashing ? ({ bytesHashed }) => bytesHashed : bytesThere);
      if (verb !== verbNow) samples = [];
      verb = verbNow;
      samples = [...samples.filter(({ ms }) => nowMs - ms < SPEED_WINDOW_MS), { ms: nowMs, bytes: done }];

      const ended = all.length - active.length;
      const speed = bytesPerSecond(samples);
      return [
        ...(fileCount > 1 ? [`${ended}/${fileCount} files`] : []),
        `${verb} ${bar(total === 0 ? 1 : done / total)}`,
        `${sizeText(done)} of ${sizeText(total)}`,
        ...(speed > 0 ? [`${sizeText(speed)}/s`, `${durationText((total - done) / speed)} left`] : []),
      ].join('  ');
    },
  };
}

/** Bytes that S3 holds: sent by this run, sent by an earlier run, or already stored. */
function bytesThere({ phase, bytesTotal, bytesSent, bytesResumed }: Progress): number {
  return phase === 'done' ? bytesTotal : bytesSent + bytesResumed;
}

function sum(all: Progress[], of: (progress: Progress) => number): number {
  return all.reduce((bytes, progress) => bytes + of(progress), 0);
}

/**
 * Returns 0 while the speed is unknown. When bytes turn out to be stored in S3 already, all of them count as
 * done at once. The speed is then too high until this moment is older than SPEED_WINDOW_MS.
 */
function bytesPerSecond(samples: readonly { ms: number; bytes: number }[]): number {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || last.ms === first.ms) return 0;
  return ((last.bytes - first.bytes) / (last.ms - first.ms)) * 1_000;
}

function bar(share: number): string {
  const full = Math.floor(share * BAR_CHARACTERS);
  return `${'█'.repeat(full)}${'░'.repeat(BAR_CHARACTERS - full)} ${String(Math.floor(share * 100)).padStart(3)} %`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function sizeText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${UNITS[power]}`;
}

export function durationText(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
