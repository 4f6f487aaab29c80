import type { History } from './history.ts';
import { Random } from './random.ts';

/** Ids, the likeliest first. */
export type Ranker = (history: History) => readonly string[];

export interface Measured {
  readonly n: number;
  readonly top1: Interval;
  readonly top3: Interval;
  readonly mrr: Interval;
}

export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const Z = 1.96;
const RESAMPLES = 1000;

/** How well a ranker does on the histories that have a culprit, with 95 % intervals. */
export function measure(histories: readonly History[], ranker: Ranker): Measured {
  const ranks = histories
    .filter(({ culprit }) => culprit !== null)
    .map((history) => ranker(history).indexOf(history.culprit!) + 1);
  if (ranks.includes(0)) throw new Error('a ranker left the culprit out');
  const share = (isHit: (rank: number) => boolean) => wilson(ranks.filter(isHit).length, ranks.length);
  return {
    n: ranks.length,
    top1: share((rank) => rank === 1),
    top3: share((rank) => rank <= 3),
    mrr: bootstrap(ranks.map((rank) => 1 / rank)),
  };
}

function wilson(hits: number, n: number): Interval {
  const p = hits / n;
  const middle = (p + Z ** 2 / (2 * n)) / (1 + Z ** 2 / n);
  const half = (Z / (1 + Z ** 2 / n)) * Math.sqrt((p * (1 - p)) / n + Z ** 2 / (4 * n ** 2));
  return { value: p, low: middle - half, high: middle + half };
}

function bootstrap(values: readonly number[]): Interval {
  const random = new Random(1);
  const mean = (draw: (index: number) => number) =>
    values.reduce((sum, _value, index) => sum + draw(index), 0) / values.length;
  const means = Array.from({ length: RESAMPLES }, () => mean(() => random.pick(values))).toSorted((a, b) => a - b);
  return { value: mean((index) => values[index]!), low: means[RESAMPLES * 0.025]!, high: means[RESAMPLES * 0.975]! };
}

/** A stated probability, and whether it came true. */
export interface Statement {
  readonly probability: number;
  readonly isTrue: boolean;
}

export interface Bin {
  readonly n: number;
  readonly stated: number;
  readonly observed: number;
}

/** Expected calibration error over ten equal bins: the mean distance of what was stated from what came true. */
export function calibration(statements: readonly Statement[]): { error: number; brier: number; bins: readonly Bin[] } {
  const bins = Array.from({ length: 10 }, (_, bin) => {
    const inside = statements.filter(({ probability }) => Math.min(9, Math.floor(probability * 10)) === bin);
    const mean = (of: (statement: Statement) => number) =>
      inside.reduce((sum, one) => sum + of(one), 0) / inside.length;
    return { n: inside.length, stated: mean((one) => one.probability), observed: mean((one) => Number(one.isTrue)) };
  });
  const total = statements.length;
  const error = bins.reduce(
    (sum, { n, stated, observed }) => (n === 0 ? sum : sum + (n / total) * Math.abs(stated - observed)),
    0,
  );
  const brier = statements.reduce((sum, one) => sum + (one.probability - Number(one.isTrue)) ** 2, 0) / total;
  return { error, brier, bins };
}
