import type { Campaign } from './campaign.ts';
import type { Verdict } from './checker/check.ts';
import { FAULTS, type FaultName } from './nemesis/nemesis.ts';
import { BATCH_CUTS, CALL_CUTS } from './rig/cutters.ts';

export type Outcome = Pick<Campaign, 'struck' | 'cutReplies' | 'cutCommits' | 'cutWrites'>;

export interface Conclusion {
  /** 0: all held; 1: something is broken; 2: nothing is, but it was not put to the test. */
  readonly exitCode: 0 | 1 | 2;
  readonly text: string;
}

/** What a campaign has shown. */
export function conclude(outcome: Outcome, verdicts: readonly Verdict[]): Conclusion {
  if (verdicts.some(({ problems }) => problems.length > 0)) return { exitCode: 1, text: 'BROKEN' };
  const gaps = gapsOf(outcome, verdicts);
  if (gaps.length > 0) return { exitCode: 2, text: `inconclusive: ${gaps.join('; ')}` };
  return { exitCode: 0, text: 'All held' };
}

function gapsOf(outcome: Outcome, verdicts: readonly Verdict[]): string[] {
  const unseen = verdicts.filter(({ examined }) => examined === 0);
  return [
    ...FAULTS.filter((fault) => !hasHit(outcome, fault)).map((fault) => `${fault} never struck`),
    ...unseen.map(({ invariant }) => `nothing to look at for "${invariant}"`),
  ];
}

/** What is to be cut may come after the strike, or never: there only what was cut counts. */
function hasHit({ struck, cutReplies, cutCommits, cutWrites }: Outcome, fault: FaultName): boolean {
  switch (fault) {
    case 'cut':
      return cutReplies > 0;
    case 'cut-commit':
      return cutCommits > 0;
    case 'cut-call':
      return CALL_CUTS.every((cut) => cutWrites.get(cut)! > 0);
    case 'cut-batch':
      return BATCH_CUTS.every((cut) => cutWrites.get(cut)! > 0);
    default:
      return struck.some((one) => one.fault === fault && one.isHit);
  }
}
