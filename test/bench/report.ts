import { measuredOn } from '../harness/readme-table.ts';
import type { EventsFigures } from './events.ts';
import type { Starts } from './starts.ts';

/** The cost of one round of calls, per call. */
export interface Round {
  cpuMicroseconds: number;
  postgresMicroseconds: number;
  callsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
}

export interface Figures {
  call: string;
  /** By the name of the stack, in the order in which the rounds ran. */
  rounds: Map<string, Round[]>;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function cpuOf(figures: Figures, stack: string): number[] {
  return (figures.rounds.get(stack) ?? []).map(({ cpuMicroseconds }) => cpuMicroseconds);
}

/**
 * Our cost divided by another stack's, for each round. Both ran directly after each other, so other load on
 * the machine affected both.
 */
export function ratios(figures: Figures, over: string): number[] {
  const others = cpuOf(figures, over);
  return cpuOf(figures, 'ours').map((cost, round) => cost / (others[round] ?? Number.NaN));
}

export interface Outcome {
  figures: readonly Figures[];
  /** Resident memory of each stack's process after all calls. */
  memory: readonly { name: string; mb: number }[];
  starts: Starts;
}

export function summary(
  { figures: all, memory, starts }: Outcome,
  how: { rounds: number; callsPerRound: number; callsAtOnce: number },
): string {
  const head = `${measuredOn()}; ${how.rounds} rounds of ${how.callsPerRound} calls, ${how.callsAtOnce} at once: median (least–most).`;
  const rows = all.flatMap((figures) =>
    [...figures.rounds].map(([stack, rounds]) => {
      const cpu = cpuOf(figures, stack);
      const of = (name: keyof Round) => median(rounds.map((round) => round[name]));
      const cells = [
        figures.call,
        stack,
        `${median(cpu).toFixed(0)} (${Math.min(...cpu).toFixed(0)}–${Math.max(...cpu).toFixed(0)})`,
        stack === 'ours' ? `${times(figures, 'minimal')}, ${times(figures, 'conventional')}` : '',
        of('postgresMicroseconds').toFixed(0),
        of('callsPerSecond').toFixed(0),
        of('p50Ms').toFixed(1),
        of('p99Ms').toFixed(1),
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  );
  return [
    head,
    '',
    '| call | stack | server CPU µs | ours is | Postgres CPU µs | calls/s | p50 ms | p99 ms |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
    `RSS after all calls: ${memory.map(({ name, mb }) => `${name} ${mb.toFixed(0)} MB`).join(', ')}.`,
    `From the start of the process to SERVING: ${starts.external.toFixed(2)} s with an external Postgres and bucket,`,
    `${starts.embedded.toFixed(2)} s with the embedded ones and an existing data directory.`,
  ].join('\n');
}

/** The cost of a create with events, and of the early sweeps of a file that never arrives. */
export function eventsSummary({ create, earlySweepsMicroseconds }: EventsFigures): string {
  const [on, off] = ['ours', 'without events'].map((stack) => median(cpuOf(create, stack)).toFixed(0));
  return [
    '',
    `A new create with EVENTS_URL: ${on} µs, ${times(create, 'without events')} (${off} µs). If its file never arrives, the`,
    `early sweeps of its first 20 s cost the service ${earlySweepsMicroseconds.toFixed(0)} µs more.`,
  ].join('\n');
}

function times(figures: Figures, other: string): string {
  return `${median(ratios(figures, other)).toFixed(2)} × ${other}`;
}
