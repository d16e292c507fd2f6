import type { Round } from './rounds.ts';

/** The rounds of two services, which ran in turns: with events, and without. */
export interface Comparison {
  on: Round[];
  off: Round[];
}

/** How much slower one figure is with events. */
interface Ratio {
  onMs: number;
  offMs: number;
  ratio: number;
  /** Half the distance between the quartiles of the ratios of the single rounds. */
  noise: number;
}

type FigureOf = (round: Round) => number;

/** The median of a figure over the rounds, with events and without, and the median of the ratios. */
export function compare({ on, off }: Comparison, figureOf: FigureOf): Ratio {
  const [onMs, offMs] = [on.map(figureOf), off.map(figureOf)];
  const ratios = onMs.map((ms, round) => ms / (offMs[round] ?? Number.NaN));
  return {
    onMs: quantile(onMs, 0.5),
    offMs: quantile(offMs, 0.5),
    ratio: quantile(ratios, 0.5),
    noise: (quantile(ratios, 0.75) - quantile(ratios, 0.25)) / 2,
  };
}

export const FIGURES: Record<string, FigureOf> = {
  'calls: p50': ({ callsMs }) => quantile(callsMs, 0.5),
  'calls: p99': ({ callsMs }) => quantile(callsMs, 0.99),
  'sweep of 300 files': ({ sweepMs }) => sweepMs,
};

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function describeRatio({ name, onMs, offMs, ratio }: Ratio & { name: string }): string {
  return `${name} ${onMs.toFixed(1)} ms, without events ${offMs.toFixed(1)} ms (× ${ratio.toFixed(2)})`;
}
