import type { Campaign } from './campaign.ts';
import type { Verdict } from './checker/check.ts';
import { FAULTS } from './nemesis/nemesis.ts';
import type { Operation } from './workload/history.ts';

const SHOWN = 5;

/** What was done, what was done to it, and what the checker says. */
export function render(campaign: Campaign, verdicts: readonly Verdict[]): string {
  return [operations(campaign.evidence.history), faults(campaign), judgement(verdicts)].join('\n\n');
}

function operations(history: readonly Operation[]): string {
  const rows = new Map<string, { done: number; refused: number; lost: number }>();
  for (const { kind, reply, mustFail } of history) {
    const name = mustFail === null ? kind : `${kind} (${mustFail})`;
    const row = rows.get(name) ?? { done: 0, refused: 0, lost: 0 };
    rows.set(name, row);
    if (reply === null || reply.status >= 500) row.lost += 1;
    else if (reply.status < 300) row.done += 1;
    else row.refused += 1;
  }
  const lines = [...rows]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { done, refused, lost }]) =>
      line(name, `${done} done, ${refused} refused, ${lost} without an answer`),
    );
  return [`${history.length} operations`, ...lines].join('\n');
}

function faults({ struck, cutReplies, cutCommits, cutWrites, clock, reconnections }: Campaign): string {
  const lines = FAULTS.map((fault) => {
    const times = struck.filter((one) => one.fault === fault);
    const details = times.flatMap(({ detail }) => (detail === '' ? [] : [detail]));
    return line(
      fault,
      `${times.length}${details.length > 0 ? `: ${details.slice(0, 4).join('; ')}${details.length > 4 ? '; …' : ''}` : ''}`,
    );
  });
  const clockNote =
    clock === 'preload'
      ? "PostgreSQL's whole clock"
      : "what SQL asks for the time; not PostgreSQL's own timeouts (no C compiler here)";
  const writes = [...cutWrites].map(([cut, times]) => `${cut} ${times}`).join(', ');
  return [
    `${struck.length} faults; ${cutReplies} requests and replies and ${cutCommits} commits cut; ${writes}; the reader connected ${reconnections} times; set back was ${clockNote}`,
    ...lines,
  ].join('\n');
}

function judgement(verdicts: readonly Verdict[]): string {
  return verdicts
    .flatMap(({ invariant, examined, problems }) => [
      line(
        problems.length === 0 ? 'held' : 'BROKEN',
        `${invariant} (${examined} looked at${problems.length > 0 ? `, ${problems.length} wrong` : ''})`,
      ),
      ...problems.slice(0, SHOWN).map((problem) => line('', problem)),
    ])
    .join('\n');
}

function line(name: string, text: string): string {
  return `  ${name.padEnd(28)} ${text}`;
}
