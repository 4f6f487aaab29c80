/** What is unusual about a change, by what is on record. */
export const ANOMALIES = [
  'unleased_edit',
  'stale_lease',
  'denied_edit',
  'approved_exception',
  'undeclared_revert',
  'failed_run',
] as const;
export type Anomaly = (typeof ANOMALIES)[number];

/**
 * The ranking's numbers. Each term is a log-likelihood ratio (natural log) against a change that has just gone out, to a
 * service that fits, with nothing that points at it; a suspect's score is their sum, and `none` competes with it.
 */
export interface Model {
  /** Time since the deploy at which a change is half as likely. */
  readonly halfLifeHours: number;
  /** How many times likelier full path evidence makes a change of one file. */
  readonly pathRatio: number;
  /** Path evidence counts to this power: a neighbour is worth far less than the file itself. */
  readonly pathPower: number;
  /** Path evidence is divided by (files of the change) to this power: a large commit matches by chance. */
  readonly churnPower: number;
  /** How many times likelier a change is that wrote all the lines of which the evidence says who wrote them. */
  readonly lineRatio: number;
  /** A trace of the evidence names the change's run, by a key that may speak for it; by its own word. */
  readonly traceExact: number;
  readonly traceInferred: number;
  /** The deploy was of another service than the incident names. */
  readonly otherService: number;
  /** A rollback took the change out again before the incident began. */
  readonly rolledBack: number;
  readonly anomalies: Readonly<Record<Anomaly, number>>;
  /** Log-odds of "none of these"; what is added when the evidence has paths, and no candidate matches any. */
  readonly none: number;
  readonly noneUnmatched: number;
}

/**
 * The half-life was measured on reverts in public repositories; the powers were chosen where those (replayed by
 * `npm run bench:reverts`) and generated histories agree; the ratios and "none" are fitted to generated histories
 * (`npm run bench:suspects -- --fit`). The rest is set by hand, low, so that all anomalies together do not outweigh a
 * matching file: no history on record tells their worth.
 */
export const MODEL: Model = {
  halfLifeHours: 24,
  pathRatio: 1400,
  pathPower: 2.5,
  churnPower: 0.7,
  lineRatio: 75,
  traceExact: 3,
  traceInferred: 1.5,
  otherService: -2,
  rolledBack: -3,
  anomalies: {
    unleased_edit: 0.4,
    stale_lease: 0.3,
    denied_edit: 0.8,
    approved_exception: 0.3,
    undeclared_revert: 0.6,
    failed_run: 0.3,
  },
  none: 2.8,
  noneUnmatched: 1,
};
