import type { Evidence } from '../evidence.ts';
import { nothingGivenBackStands, nothingToldIsMissing, tablesAgree } from './acknowledged.ts';
import { everythingEnds, nothingUnexpectedAnswered } from './answers.ts';
import { timeGoesForward } from './clock.ts';
import { neverTwoBelieved, neverTwoInTheLog } from './exclusive.ts';
import { fencesOnlyRise } from './fences.ts';
import type { Finding } from './finding.ts';
import { nothingSkippedOrDoubled } from './followed.ts';
import { type Log, readLog } from './log.ts';
import { nothingGrantedTwice } from './once.ts';
import { noStaleRequestGranted, nothingOverMoves } from './stale.ts';
import { nobodyForgotten, nobodyOvertaken } from './waiters.ts';

export interface Verdict extends Finding {
  readonly invariant: string;
}

const INVARIANTS: Readonly<Record<string, (evidence: Evidence, log: Log) => Finding>> = {
  'no two held one path: the log': (_evidence, log) => neverTwoInTheLog(log),
  'no two held one path: what clients could believe': ({ history }) => neverTwoBelieved(history),
  'nothing acknowledged is missing': ({ history }, log) => nothingToldIsMissing(history, log),
  'nothing given back stands in the way': ({ history }) => nothingGivenBackStands(history),
  'no retry was granted twice': ({ history }, log) => nothingGrantedTwice(history, log),
  'no fence came again or went back': (evidence) => fencesOnlyRise(evidence),
  'no stale request was granted': ({ history }) => noStaleRequestGranted(history),
  'nothing that was over moved': (evidence, log) => nothingOverMoves(evidence, log),
  'no decision by an old clock': (evidence, log) => timeGoesForward(evidence, log),
  'nobody waiting was forgotten': (evidence, log) => nobodyForgotten(evidence, log),
  'nobody waiting was overtaken': (evidence, log) => nobodyOvertaken(evidence, log),
  'no event was skipped or doubled': (evidence) => nothingSkippedOrDoubled(evidence),
  'tables and log agree': (evidence, log) => tablesAgree(evidence, log),
  'no answer was out of place': ({ history }) => nothingUnexpectedAnswered(history),
  'every run could be ended': (evidence) => everythingEnds(evidence),
};

/** What the evidence says of each invariant. Looks at nothing else. */
export function check(evidence: Evidence): Verdict[] {
  const log = readLog(evidence);
  return Object.entries(INVARIANTS).map(([invariant, look]) => ({ invariant, ...look(evidence, log) }));
}
