/**
 * The ranking on reverts in real repositories: a commit that another one undid within a week stands for a culprit, all
 * commits of the week before the revert for what was deployed; the evidence is one file of the culprit and four that were
 * changed in the last 400 commits, drawn three times. Not production incidents, but nothing in them is of our making.
 * Run: `npm run bench:reverts -- <git directory>…`
 */
import { execFileSync } from 'node:child_process';
import { type Candidate, type EvidenceItem, rank, readEvidencePath } from '../../src/modules/incidents/index.ts';
import type { History } from './history.ts';
import { type Interval, measure } from './measure.ts';
import { Random } from './random.ts';

interface Commit {
  readonly id: string;
  readonly at: number;
  readonly message: string;
  readonly files: readonly string[];
}

const WEEK_SECONDS = 7 * 24 * 3600;
const MIN_DELAY_SECONDS = 600;
const MIN_CANDIDATES = 5;
const NOISE_COMMITS = 400;
const NOISE_FRAMES = 4;
const DRAWS = 3;

/** Oldest first, without merges. A shallow copy may end early; what it holds counts. */
function commitsOf(directory: string): Commit[] {
  const args = ['-C', directory, 'log', '--no-merges', '--name-only', '--format=%x01%H%x02%ct%x02%B%x02'];
  let text: string;
  try {
    text = execFileSync('git', args, { maxBuffer: 1 << 30, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    text = (error as { stdout?: string }).stdout ?? '';
  }
  const commits = text
    .split('\x01')
    .slice(1)
    .map((part) => {
      const [id = '', at = '', message = '', files = ''] = part.split('\x02');
      return { id, at: Number(at), message, files: files.split('\n').filter((file) => file !== '') };
    });
  return commits.filter(({ files }) => files.length > 0).toSorted((a, b) => a.at - b.at);
}

function historiesOf(commits: readonly Commit[], from: number): History[] {
  const byId = new Map(commits.map((commit) => [commit.id, commit]));
  const byPull = new Map(commits.map((commit) => [/\(#(\d+)\)$/.exec(commit.message.split('\n')[0]!)?.[1], commit]));
  return commits.flatMap((revert, index) => {
    const id = /This reverts commit ([0-9a-f]{40})/.exec(revert.message)?.[1];
    const pull = /^[Rr]evert[: ].*#(\d+)/.exec(revert.message)?.[1];
    const culprit = byId.get(id ?? '') ?? (pull === undefined ? undefined : byPull.get(pull));
    const delay = culprit === undefined ? Number.NaN : revert.at - culprit.at;
    if (culprit === undefined || !(delay >= MIN_DELAY_SECONDS && delay <= WEEK_SECONDS)) return [];
    const deployed = commits.slice(0, index).filter(({ at }) => at >= revert.at - WEEK_SECONDS);
    if (deployed.length < MIN_CANDIDATES || !deployed.includes(culprit)) return [];
    const noise = commits.slice(Math.max(0, index - NOISE_COMMITS), index).flatMap(({ files }) => files);
    return Array.from({ length: DRAWS }, (_, draw) => {
      const random = new Random(from + index * DRAWS + draw);
      const frames = [random.pick(culprit.files), ...Array.from({ length: NOISE_FRAMES }, () => random.pick(noise))];
      return {
        candidates: deployed.map((commit) => candidate(commit, revert.at)),
        evidence: frames.map((text): EvidenceItem => ({ text, path: readEvidencePath(text), commit: null })),
        culprit: culprit.id,
      };
    });
  });
}

function candidate({ id, at, files }: Commit, now: number): Candidate {
  return {
    id,
    commit: id,
    caseSensitive: true,
    files,
    fileCount: files.length,
    hoursSinceDeploy: (now - at) / 3600,
    sameService: null,
    rolledBack: false,
    anomalies: [],
    trace: null,
  };
}

const histories = process.argv.slice(2).flatMap((directory, index) => {
  const found = historiesOf(commitsOf(directory), index * 1_000_000);
  console.log(`${directory}: ${found.length / DRAWS} reverts`);
  return found;
});
if (histories.length === 0) throw new Error('no git directory with reverts was given');
const show = ({ value, low, high }: Interval) => `${value.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
const rankers = {
  'newest first': ({ candidates }: History) =>
    candidates.toSorted((a, b) => a.hoursSinceDeploy - b.hoursSinceDeploy).map(({ id }) => id),
  signalbox: ({ evidence, candidates }: History) => rank(evidence, candidates).items.map(({ id }) => id),
};
console.log(`${histories.length / DRAWS} reverts, ${DRAWS} draws of evidence each`);
for (const [name, ranker] of Object.entries(rankers)) {
  const { top1, top3, mrr } = measure(histories, ranker);
  console.log(`  ${name.padEnd(14)} top-1 ${show(top1)}  top-3 ${show(top3)}  MRR ${show(mrr)}`);
}
