import { EVENTS_CALL } from './events.ts';
import { type Figures, median, ratios } from './report.ts';
import type { Starts } from './starts.ts';

interface Budget {
  call: string;
  over: 'minimal' | 'conventional' | 'without events';
  /**
   * Our cost may be at most this multiple of the other stack's. More than that plus the noise fails
   * `--check`.
   */
  most: number;
}

export const BUDGETS: readonly Budget[] = [
  { call: 'create, new', over: 'minimal', most: 1.25 },
  { call: 'create, new', over: 'conventional', most: 0.27 },
  { call: EVENTS_CALL, over: 'without events', most: 1.05 },
  { call: 'list of 100', over: 'minimal', most: 1.35 },
  { call: 'get', over: 'minimal', most: 1.35 },
  { call: 'delete', over: 'minimal', most: 1.35 },
  { call: 'download', over: 'minimal', most: 1.35 },
];

const START_SECONDS_MAX: Starts = { external: 0.7, embedded: 3 };

/** A busy machine doubles the time of a start, so only twice the budget fails. */
const START_NOISE = 2;

export function slowStarts(starts: Starts): string[] {
  return (['external', 'embedded'] as const)
    .filter((kind) => starts[kind] > START_SECONDS_MAX[kind] * START_NOISE)
    .map(
      (kind) =>
        `start, ${kind}: ${starts[kind].toFixed(2)} s, but the budget is ${START_SECONDS_MAX[kind]} s`,
    );
}

/** Returns a line for each call that exceeds its budget by more than the spread of its rounds. */
export function overBudget(all: readonly Figures[], budgets: readonly Budget[]): string[] {
  return budgets.flatMap(({ call, over, most }) => {
    const figures = all.find((one) => one.call === call);
    if (figures === undefined) return [`${call}: was not measured`];
    const rounds = ratios(figures, over);
    const [value, noise] = [median(rounds), spread(rounds)];
    if (value <= most * (1 + noise)) return [];
    return [
      `${call}: ${value.toFixed(2)} × ${over}, but the budget is ${most} (noise ${(noise * 100).toFixed(0)} %)`,
    ];
  });
}

/** Half the distance between the quartiles, as a share of the median. */
function spread(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low = 0, high = 0] = [sorted[sorted.length >> 2], sorted[(sorted.length * 3) >> 2]];
  return (high - low) / 2 / median(values);
}
