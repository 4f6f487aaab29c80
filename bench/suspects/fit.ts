import { type Model, type Observations, observe, weigh } from '../../src/modules/incidents/index.ts';
import type { History } from './history.ts';

export interface Observed {
  readonly observations: Observations;
  readonly culprit: string | null;
}

/** What a model weighs: the same for all of them. */
export function observeAll(histories: readonly History[]): Observed[] {
  return histories.map(({ evidence, candidates, culprit }) => ({
    observations: observe(evidence, candidates),
    culprit,
  }));
}

/** Mean −ln of the probability that was given to what came true: the culprit, or none of these. */
export function logLoss(histories: readonly Observed[], model: Model): number {
  const losses = histories.map(({ observations, culprit }) => {
    const { items, noneOfThese } = weigh(observations, model);
    const told = culprit === null ? noneOfThese : items.find(({ id }) => id === culprit)!.probability;
    return -Math.log(told);
  });
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

type Weight = 'pathRatio' | 'lineRatio' | 'none' | 'noneUnmatched';

/** What is fitted (the half-life and the powers are not: real reverts have a say in them), with the first step: a factor for what is positive, a summand for log-odds. */
const FITTED: readonly (readonly [Weight, 'factor' | 'summand'])[] = [
  ['pathRatio', 'factor'],
  ['lineRatio', 'factor'],
  ['none', 'summand'],
  ['noneUnmatched', 'summand'],
];

/** Pattern search on the log loss, one number after the other, with ever smaller steps. */
export function fit(histories: readonly Observed[], start: Model): Model {
  let best = start;
  let loss = logLoss(histories, best);
  for (let step = 0.8; step > 0.04; step /= 2) {
    for (let improved = true; improved; ) {
      improved = false;
      for (const [name, kind] of FITTED) {
        for (const move of [step, -step]) {
          const value = kind === 'factor' ? best[name] * Math.exp(move) : best[name] + move;
          const tried = { ...best, [name]: value };
          const triedLoss = logLoss(histories, tried);
          if (triedLoss >= loss - 1e-5) continue;
          best = tried;
          loss = triedLoss;
          improved = true;
        }
      }
    }
  }
  return best;
}
