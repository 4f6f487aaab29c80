import type { EvidencePath } from './evidence-path.ts';
import { type Anomaly, MODEL, type Model } from './model.ts';
import { PathIndex, type PathMatch } from './path-index.ts';

/** Something that the evidence points at. */
export interface EvidenceItem {
  /** As it was given. */
  readonly text: string;
  readonly path: EvidencePath;
  /** The commit that wrote the line, if the evidence says so. */
  readonly commit: string | null;
}

/** A deployed change, as plain facts. */
export interface Candidate {
  readonly id: string;
  readonly commit: string;
  readonly caseSensitive: boolean;
  /** Paths of its files: all, or as many as are looked at. */
  readonly files: readonly string[];
  readonly fileCount: number;
  readonly hoursSinceDeploy: number;
  /** Null when the incident names no service. */
  readonly sameService: boolean | null;
  readonly rolledBack: boolean;
  readonly anomalies: readonly Anomaly[];
  /** How a trace of the evidence names its run; null if none does. */
  readonly trace: 'exact' | 'inferred' | null;
}

/** One term of a score: what was seen (null: nothing is known, and nothing follows), and what it adds. */
export interface Term {
  readonly value: number | null;
  readonly logOdds: number;
}

export interface Terms {
  /** Value: 1 − ∏(1 − strength / 2) over the evidence's paths; each one that points here halves the doubt. */
  readonly path: Term & {
    readonly matches: readonly (PathMatch & { readonly evidence: string; readonly file: string })[];
  };
  /** Value: as path, over lines that this commit wrote; null when the evidence names no line's commit. */
  readonly line: Term;
  /** Value: 0.5 ^ (hours since deploy / half-life). */
  readonly time: Term;
  /** Value: 1 / files ^ power. Takes back of the path term what a change of that size would match by chance. */
  readonly churn: Term;
  readonly anomalies: Term & { readonly found: readonly { readonly kind: Anomaly; readonly logOdds: number }[] };
  /** Value: 1 exact, 0.5 inferred; null when no trace of the evidence names any candidate's run. */
  readonly trace: Term;
  /** Value: 1 the incident's service, 0 another; null when it names none. */
  readonly service: Term;
  /** Value: 1 still out when it began, 0 rolled back before. */
  readonly live: Term;
}

export interface Ranked {
  readonly id: string;
  /** The sum of the terms' log-odds. */
  readonly score: number;
  readonly probability: number;
  readonly terms: Terms;
}

export interface Ranking {
  /** The likeliest first; of equals the one deployed last, then by id. */
  readonly items: readonly Ranked[];
  /** With the items' probabilities: 1. */
  readonly noneOfThese: number;
}

/** What the evidence says of one candidate, before anything is weighed. */
export interface Observation {
  readonly candidate: Candidate;
  readonly matches: Terms['path']['matches'];
  /** In [0, 1): see `Terms`. */
  readonly path: number;
  /** Null: the evidence does not say who wrote its lines. */
  readonly line: number | null;
}

export interface Observations {
  readonly candidates: readonly Observation[];
  /** The evidence has paths. */
  readonly hasPaths: boolean;
  /** Some candidate's run is named by a trace. */
  readonly traced: boolean;
}

/** A file of the same directory still counts as found; anything weaker happens by chance. */
const MATCHED = 0.25;

/** Ranks deployed changes by how likely each is the cause. Pure. */
export function rank(
  evidence: readonly EvidenceItem[],
  candidates: readonly Candidate[],
  model: Model = MODEL,
): Ranking {
  return weigh(observe(evidence, candidates), model);
}

/** Holds the candidates against the evidence. Evidence that names one path twice counts once. */
export function observe(evidence: readonly EvidenceItem[], candidates: readonly Candidate[]): Observations {
  // A deep stack in one file says no more than one frame of it.
  const paths = [...new Map(evidence.map((item) => [item.path.segments.join('/'), item])).values()];
  const authors = [
    ...new Map(evidence.map(({ path, commit }) => [`${path.segments.join('/')}\0${commit}`, commit])).values(),
  ].filter((commit) => commit !== null);
  const indexOf = (caseSensitive: boolean) =>
    new PathIndex(
      paths.map(({ path }) => path),
      { caseSensitive },
    );
  const indices = { true: indexOf(true), false: indexOf(false) };
  const observed = candidates.map((candidate) => {
    const matches = bestMatches(candidate.files, indices[`${candidate.caseSensitive}`], paths);
    const written = authors.filter((author) => author === candidate.commit);
    return {
      candidate,
      matches,
      path: doubtLeft(matches.map(({ strength }) => strength)),
      line: authors.length === 0 ? null : doubtLeft(written.map(() => 1)),
    };
  });
  return { candidates: observed, hasPaths: paths.length > 0, traced: candidates.some(({ trace }) => trace !== null) };
}

/** Probabilities are the softmax of the scores with "none of these" as one more alternative. */
export function weigh({ candidates, hasPaths, traced }: Observations, model: Model = MODEL): Ranking {
  const scored = candidates.map((observation): Scored => {
    const terms = termsOf(observation, traced, model);
    const score = sumOf(Object.values(terms));
    return { candidate: observation.candidate, terms, score };
  });
  const matched = candidates.some(({ matches, line }) => (matches[0]?.strength ?? 0) >= MATCHED || (line ?? 0) > 0);
  const none = model.none + (hasPaths && !matched ? model.noneUnmatched : 0);
  const [noneOfThese, ...probabilities] = softmax([none, ...scored.map(({ score }) => score)]);
  const ranked = scored.map((one, index) => ({ ...one, probability: probabilities[index]! }));
  return { items: ranked.toSorted(inOrder).map(toRanked), noneOfThese: noneOfThese! };
}

interface Scored {
  readonly candidate: Candidate;
  readonly terms: Terms;
  readonly score: number;
}

function toRanked({ candidate, score, probability, terms }: Scored & { probability: number }): Ranked {
  return { id: candidate.id, score, probability, terms };
}

function inOrder(a: Scored, b: Scored): number {
  if (a.score !== b.score) return b.score - a.score;
  if (a.candidate.hoursSinceDeploy !== b.candidate.hoursSinceDeploy)
    return a.candidate.hoursSinceDeploy - b.candidate.hoursSinceDeploy;
  return a.candidate.id < b.candidate.id ? -1 : 1;
}

function termsOf({ candidate, matches, path, line }: Observation, traced: boolean, model: Model): Terms {
  const { sameService, rolledBack } = candidate;
  const churn = Math.max(candidate.fileCount, 1) ** -model.churnPower;
  const pointed = model.pathRatio * path ** model.pathPower;
  const pathLogOdds = Math.log1p(pointed);
  const halfLives = Math.max(candidate.hoursSinceDeploy, 0) / model.halfLifeHours;
  const found = candidate.anomalies.map((kind) => ({ kind, logOdds: model.anomalies[kind] }));
  return {
    path: { value: path, logOdds: pathLogOdds, matches },
    line: { value: line, logOdds: Math.log1p((line ?? 0) * model.lineRatio) },
    time: { value: 0.5 ** halfLives, logOdds: -Math.LN2 * halfLives },
    churn: { value: churn, logOdds: Math.log1p(pointed * churn) - pathLogOdds },
    anomalies: { value: found.length, logOdds: found.reduce((sum, { logOdds }) => sum + logOdds, 0), found },
    trace: traceTerm(candidate, traced, model),
    service: {
      value: sameService === null ? null : Number(sameService),
      logOdds: sameService === false ? model.otherService : 0,
    },
    live: { value: Number(!rolledBack), logOdds: rolledBack ? model.rolledBack : 0 },
  };
}

function traceTerm({ trace }: Candidate, traced: boolean, model: Model): Term {
  if (!traced) return { value: null, logOdds: 0 };
  if (trace === null) return { value: 0, logOdds: 0 };
  return trace === 'exact' ? { value: 1, logOdds: model.traceExact } : { value: 0.5, logOdds: model.traceInferred };
}

/** The best file of the change for each path of the evidence that it matches, the strongest first. */
function bestMatches(files: readonly string[], index: PathIndex, paths: readonly EvidenceItem[]) {
  const best = new Map<number, PathMatch & { file: string }>();
  for (const file of files) {
    for (const [evidence, match] of index.match(file)) {
      if ((best.get(evidence)?.strength ?? 0) < match.strength) best.set(evidence, { ...match, file });
    }
  }
  return [...best]
    .map(([evidence, match]) => ({ ...match, evidence: paths[evidence]!.text }))
    .toSorted((a, b) => b.strength - a.strength);
}

/** 1 − ∏(1 − strength / 2): grows with each, stays below 1. */
function doubtLeft(strengths: readonly number[]): number {
  return 1 - strengths.reduce((doubt, strength) => doubt * (1 - strength / 2), 1);
}

function sumOf(terms: readonly Term[]): number {
  return terms.reduce((sum, { logOdds }) => sum + logOdds, 0);
}

function softmax(logits: readonly number[]): number[] {
  const highest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - highest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
