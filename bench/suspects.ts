/**
 * How well suspects are ranked, on generated histories with a planted culprit (one in five has none), beside random,
 * newest-first and path match alone; and whether the probabilities mean what they say. The generator's own assumptions
 * are in bench/suspects/history.ts. Run: `npm run bench:suspects [-- --histories 2000] [-- --fit] [-- --json]`.
 */
import { parseArgs } from 'node:util';
import { MODEL, type Model, rank } from '../src/modules/incidents/index.ts';
import { fit, logLoss, observeAll } from './suspects/fit.ts';
import { generate, type History, WORLD, type World } from './suspects/history.ts';
import { calibration, type Interval, type Measured, measure, type Ranker, type Statement } from './suspects/measure.ts';
import { Random } from './suspects/random.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '2000' },
    fit: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const count = Number(values.histories);
/** Seeds of the histories that the model is fitted to; those that it is measured on are others. */
const FITTED_FROM = 1_000_000;

const make = (world: World, from = 1): History[] =>
  Array.from({ length: count }, (_, index) => generate(from + index, world));

const ours =
  (model: Model): Ranker =>
  ({ evidence, candidates }) =>
    rank(evidence, candidates, model).items.map(({ id }) => id);

const RANKERS: Readonly<Record<string, Ranker>> = {
  random: ({ candidates }) => {
    const random = new Random(candidates.length);
    return candidates
      .map(({ id }) => ({ id, at: random.next() }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ id }) => id);
  },
  'newest first': ({ candidates }) =>
    candidates.toSorted((a, b) => a.hoursSinceDeploy - b.hoursSinceDeploy).map(({ id }) => id),
  'path match': ({ evidence, candidates }) =>
    rank(evidence, candidates)
      .items.toSorted((a, b) => b.terms.path.value! - a.terms.path.value!)
      .map(({ id }) => id),
  signalbox: ours(MODEL),
};

/** The same model, also where its assumptions do not hold. */
const WORLDS: readonly (readonly [string, World])[] = [
  ['as assumed', WORLD],
  ['evidence misleads: half the true frames, 8 of noise', { ...WORLD, exact: 0.4, neighbour: 0.1, noiseFrames: 8 }],
  ['clean evidence: the true frame alone', { ...WORLD, exact: 0.9, neighbour: 0.05, noiseFrames: 0 }],
  ['slow burn: culprits break after days', { ...WORLD, delayHours: 60 }],
  ['busy: four times the candidates', { ...WORLD, medianCandidates: 188 }],
  ['half have no culprit', { ...WORLD, noneShare: 0.5 }],
];

const show = ({ value, low, high }: Interval) => `${value.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;

function statements(histories: readonly History[], model: Model): { top: Statement[]; none: Statement[] } {
  const ranked = histories.map(({ evidence, candidates, culprit }) => ({
    culprit,
    ...rank(evidence, candidates, model),
  }));
  return {
    top: ranked.map(({ culprit, items }) => ({ probability: items[0]!.probability, isTrue: items[0]!.id === culprit })),
    none: ranked.map(({ culprit, noneOfThese }) => ({ probability: noneOfThese, isTrue: culprit === null })),
  };
}

if (values.fit) {
  const histories = observeAll(make(WORLD, FITTED_FROM));
  const fitted = fit(histories, MODEL);
  console.log(
    `log loss ${logLoss(histories, MODEL).toFixed(4)}, fitted ${logLoss(histories, fitted).toFixed(4)}:`,
    fitted,
  );
  process.exit();
}

const results: Record<string, unknown> = {};
for (const [name, world] of WORLDS) {
  const histories = make(world);
  const sizes = histories.map(({ candidates }) => candidates.length).toSorted((a, b) => a - b);
  console.log(`\n${name}: ${histories.length} histories, median ${sizes[Math.floor(sizes.length / 2)]} candidates`);
  console.log(`  ${'ranker'.padEnd(14)} ${'n'.padStart(5)}  ${'top-1'.padEnd(18)} ${'top-3'.padEnd(18)} MRR`);
  const rows: Record<string, Measured> = {};
  for (const [ranker, order] of Object.entries(RANKERS)) {
    const measured = measure(histories, order);
    rows[ranker] = measured;
    console.log(
      `  ${ranker.padEnd(14)} ${String(measured.n).padStart(5)}  ${show(measured.top1)} ${show(measured.top3)} ${show(measured.mrr)}`,
    );
  }
  const { top, none } = statements(histories, MODEL);
  const told = { top: calibration(top), none: calibration(none) };
  console.log(
    `  calibration error: first suspect ${told.top.error.toFixed(3)} (Brier ${told.top.brier.toFixed(3)}), none of these ${told.none.error.toFixed(3)} (Brier ${told.none.brier.toFixed(3)}); log loss ${logLoss(observeAll(histories), MODEL).toFixed(3)}`,
  );
  results[name] = { ...rows, calibration: told };
  if (world !== WORLD) continue;
  for (const { n, stated, observed } of told.top.bins)
    if (n > 0) console.log(`    said ${stated.toFixed(2)}, was right ${observed.toFixed(2)} (n ${n})`);
}
if (values.json) console.log(JSON.stringify(results));
