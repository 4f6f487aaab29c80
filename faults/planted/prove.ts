import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { runCampaign } from '../campaign.ts';
import { check, type Verdict } from '../checker/check.ts';
import { buildServer } from '../rig/build.ts';
import type { DatabaseClock } from '../rig/clock.ts';
import { temporaryFolder } from '../rig/folder.ts';
import { PLANTED, type PlantedBug } from './bugs.ts';

export interface ProofOptions {
  readonly seed: number;
  readonly clients: number;
  /** Only bugs with one of these in their name; all if there is none. */
  readonly only: readonly string[];
  /** The longest campaign. */
  readonly seconds: number;
  readonly clock?: DatabaseClock['kind'] | undefined;
  readonly stop: AbortSignal;
}

const SERVERS = 3;
/** Most show within seconds; a race may take longer. */
const ROUNDS_SECONDS = [10, 20, 60];
const CONTROL_SECONDS = 20;

/** Plants nothing first, then one bug after the other. Returns the exit code: 0 when the checker saw them all, and nothing else. */
export async function provePlanted({ only, seconds: longest, ...options }: ProofOptions): Promise<number> {
  const chosen = PLANTED.filter(({ name }) => only.length === 0 || only.some((text) => name.includes(text)));
  const rounds = ROUNDS_SECONDS.filter((seconds) => seconds <= longest);
  if (rounds.length === 0) throw new Error(`the shortest campaign takes ${ROUNDS_SECONDS[0]} s`);
  console.log(`seed ${options.seed}: ${chosen.length} planted bugs`);
  const [first] = await brokenWith([], options, [Math.min(CONTROL_SECONDS, longest)]);
  if (first !== undefined) {
    console.log(`  BROKEN   without any bug: ${inWords(first)}`);
    return 1;
  }
  console.log('  held     without any bug');
  const unseen: string[] = [];
  for (const bug of chosen) {
    const broken = await brokenWith(bug.edits, options, rounds, bug.breaks);
    const expected = broken.find(({ invariant }) => bug.breaks.includes(invariant));
    if (expected !== undefined) console.log(`  seen     ${bug.name}: ${inWords(expected)}`);
    else console.log(`  NOT SEEN ${bug.name}${broken.length > 0 ? `; but ${broken.map(inWords).join('; ')}` : ''}`);
    if (expected === undefined) unseen.push(bug.name);
  }
  const verdict = unseen.length === 0 ? `saw all ${chosen.length}` : `did not see: ${unseen.join('; ')}`;
  console.log(`The checker ${verdict}.`);
  return unseen.length === 0 && chosen.length > 0 ? 0 : 1;
}

/** What breaks with these edits: campaigns, each longer than the last, until something does that is expected. */
async function brokenWith(
  edits: PlantedBug['edits'],
  options: Omit<ProofOptions, 'only' | 'seconds'>,
  rounds: readonly number[],
  expected: readonly string[] = [],
): Promise<Verdict[]> {
  const folder = await temporaryFolder();
  const found: Verdict[] = [];
  try {
    const main = await buildServer(folder.path, edits);
    for (const [round, seconds] of rounds.entries()) {
      const own = path.join(folder.path, `round-${round + 1}`);
      await mkdir(own);
      const { evidence } = await runCampaign({
        ...options,
        seed: options.seed + round,
        seconds,
        servers: SERVERS,
        main,
        folder: own,
      });
      found.push(...check(evidence).filter(({ problems }) => problems.length > 0));
      if (found.some(({ invariant }) => expected.includes(invariant))) break;
    }
    return found;
  } finally {
    await folder.remove();
  }
}

function inWords({ invariant, problems }: Verdict): string {
  return `"${invariant}" ${problems.length} times, first: ${problems[0]}`;
}
