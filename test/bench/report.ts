import { measuredOn } from '../harness/readme-table.ts';
import type { Starts } from './starts.ts';

/** What one round of calls cost. */
export interface Round {
  cpuMicroseconds: number;
  postgresMicroseconds: number;
  callsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
}

export interface Figures {
  call: string;
  /** By stack, in the order in which they ran. */
  rounds: Map<string, Round[]>;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

export function cpuOf(figures: Figures, stack: string): number[] {
  return (figures.rounds.get(stack) ?? []).map(({ cpuMicroseconds }) => cpuMicroseconds);
}

/**
 * Ours over another, round by round: the two ran one right after the other, so what slowed the machine down was felt by
 * both. None, where one of the stacks has no such call.
 */
export function ratios(figures: Figures, over: string): number[] {
  const others = cpuOf(figures, over);
  return cpuOf(figures, 'ours').flatMap((cost, round) => {
    const other = others[round];
    return other === undefined ? [] : [cost / other];
  });
}

/** Of the rounds, the median; undefined where one of the stacks has no such call. */
export function ratio(figures: Figures, over: string): number | undefined {
  const all = ratios(figures, over);
  return all.length === 0 ? undefined : median(all);
}

export interface Outcome {
  figures: readonly Figures[];
  /** Of each stack's process, after all of its calls. */
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
        stack === 'ours'
          ? ['minimal', 'conventional'].map((other) => times(ratio(figures, other), other)).join('')
          : '',
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
    `RSS after all of it: ${memory.map(({ name, mb }) => `${name} ${mb.toFixed(0)} MB`).join(', ')}. From the start of the`,
    `process to SERVING: ${starts.external.toFixed(2)} s with somebody else's Postgres and bucket, ${starts.embedded.toFixed(2)} s with its own, on an existing data directory.`,
  ].join('\n');
}

function times(value: number | undefined, other: string): string {
  return value === undefined ? '' : `${value.toFixed(2)} × ${other} `;
}
