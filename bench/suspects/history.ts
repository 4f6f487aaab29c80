import {
  type Anomaly,
  type Candidate,
  type EvidenceItem,
  readEvidencePath,
} from '../../src/modules/incidents/index.ts';
import { Random } from './random.ts';

/** One incident with what was out when it began; `culprit` is null when none of it was the cause. */
export interface History {
  readonly candidates: readonly Candidate[];
  readonly evidence: readonly EvidenceItem[];
  readonly culprit: string | null;
}

/** What differs from one kind of organisation and incident to another. */
export interface World {
  readonly medianCandidates: number;
  readonly noneShare: number;
  /** How the true frame points: at the culprit's very file; at a neighbour; else at nothing of it. */
  readonly exact: number;
  readonly neighbour: number;
  readonly noiseFrames: number;
  /** The noise is in files that many change, rather than in any. */
  readonly popularNoise: number;
  readonly blamed: number;
  readonly delayHours: number;
}

export const WORLD: World = {
  medianCandidates: 47,
  noneShare: 0.2,
  exact: 0.75,
  neighbour: 0.12,
  noiseFrames: 4,
  popularNoise: 0.7,
  blamed: 0.15,
  delayHours: 14,
};

const WINDOW_HOURS = 168;
const TREE = treeOf(6, 10, 10);
const POPULARITY = TREE.map((_directory, rank) => 1 / (rank + 1) ** 0.8);

/** How often an anomaly is seen on a change, and on one that breaks something: assumed, not measured. */
const ANOMALY_RATES: readonly (readonly [Anomaly, number, number])[] = [
  ['unleased_edit', 0.12, 0.2],
  ['stale_lease', 0.03, 0.05],
  ['denied_edit', 0.01, 0.03],
  ['approved_exception', 0.08, 0.12],
  ['undeclared_revert', 0.02, 0.05],
  ['failed_run', 0.06, 0.09],
];

/** Directories with their files. */
function treeOf(services: number, modules: number, files: number): readonly (readonly string[])[] {
  const directories: string[][] = [];
  for (let module = 0; module < modules; module += 1)
    for (let service = 0; service < services; service += 1)
      directories.push(Array.from({ length: files }, (_, file) => `services/s${service}/src/m${module}/f${file}.ts`));
  return directories;
}

/** A history of its seed: changes to a tree where some directories change far more than others, deployed in batches. */
export function generate(seed: number, world: World = WORLD): History {
  const random = new Random(seed);
  const count = Math.min(400, Math.max(2, Math.round(random.logNormal(world.medianCandidates, 0.7))));
  const ages = deployAges(random, count);
  const candidates = ages.map((hoursSinceDeploy, index) => change(random, index, hoursSinceDeploy));
  const isNone = random.chance(world.noneShare);
  const culprit = isNone ? null : candidates[guilty(random, candidates, world)]!;
  const marked = candidates.map((one) => ({ ...one, anomalies: anomaliesOf(random, one === culprit) }));
  return {
    candidates: marked,
    evidence: evidenceOf(random, culprit, { candidates, world }),
    culprit: culprit?.id ?? null,
  };
}

/** Several changes go out at once. */
function deployAges(random: Random, count: number): number[] {
  const ages: number[] = [];
  while (ages.length < count) {
    const age = random.next() * WINDOW_HOURS;
    const batch = 1 + Math.floor(random.exponential(2));
    for (let i = 0; i < batch && ages.length < count; i += 1) ages.push(age);
  }
  return ages;
}

function change(random: Random, index: number, hoursSinceDeploy: number): Candidate {
  const size = Math.min(300, Math.max(1, Math.round(random.logNormal(3, 1.1))));
  const files = new Set<string>();
  const homes = Array.from({ length: 1 + Math.floor(size / 8) }, () => TREE[random.weighted(POPULARITY)]!);
  for (let tries = 0; files.size < size && tries < size * 4; tries += 1) files.add(random.pick(random.pick(homes)));
  const id = `change-${String(index).padStart(3, '0')}`;
  return {
    id,
    commit: id,
    caseSensitive: true,
    files: [...files],
    fileCount: files.size,
    hoursSinceDeploy,
    sameService: null,
    rolledBack: false,
    anomalies: [],
    trace: null,
  };
}

/** Most break soon, some late, whatever their size. Not the ranking's own formula. */
function guilty(random: Random, candidates: readonly Candidate[], { delayHours }: World): number {
  return random.weighted(
    candidates.map(
      ({ hoursSinceDeploy }) => 0.92 * Math.exp(-hoursSinceDeploy / delayHours) + 0.08 * (delayHours / WINDOW_HOURS),
    ),
  );
}

function anomaliesOf(random: Random, isCulprit: boolean): Anomaly[] {
  return ANOMALY_RATES.flatMap(([kind, usual, guiltyRate]) =>
    random.chance(isCulprit ? guiltyRate : usual) ? [kind] : [],
  );
}

function evidenceOf(
  random: Random,
  culprit: Candidate | null,
  { candidates, world }: { candidates: readonly Candidate[]; world: World },
): EvidenceItem[] {
  const noise = () =>
    frame(
      random,
      random.pick(random.chance(world.popularNoise) ? TREE[random.weighted(POPULARITY)]! : random.pick(TREE)),
    );
  const frames = Array.from({ length: world.noiseFrames }, noise);
  frames.push(culprit === null ? noise() : (trueFrame(random, culprit, { candidates, world }) ?? noise()));
  return frames;
}

function trueFrame(
  random: Random,
  culprit: Candidate,
  { candidates, world }: { candidates: readonly Candidate[]; world: World },
): EvidenceItem | null {
  const file = random.pick(culprit.files);
  const draw = random.next();
  if (draw < world.exact) {
    const told = random.chance(world.blamed);
    return { ...frame(random, file), commit: told ? authorOf(random, culprit, candidates) : null };
  }
  if (draw < world.exact + world.neighbour) return frame(random, file.replace(/f\d+\.ts$/, `g${random.below(10)}.ts`));
  return null;
}

/** The line that fails is most often one that the culprit wrote, else one of long ago, seldom another candidate's. */
function authorOf(random: Random, culprit: Candidate, candidates: readonly Candidate[]): string {
  const draw = random.next();
  if (draw < 0.6) return culprit.commit;
  return draw < 0.75 ? random.pick(candidates).commit : 'a-commit-of-long-ago';
}

function frame(random: Random, file: string): EvidenceItem {
  const text = random.chance(0.3) ? `/app/${file}` : file;
  return { text, path: readEvidencePath(text), commit: null };
}
