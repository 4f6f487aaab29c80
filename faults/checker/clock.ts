import type { Evidence } from '../evidence.ts';
import type { Finding } from './finding.ts';
import type { Log } from './log.ts';

/** Times in the log are cut to milliseconds. */
const ROUNDING_MS = 1;

/**
 * What is decided about one repo is decided under its lock, by a clock that is read under it: so in the order of the log
 * time does not go back, but where it was set back. Who decides by the time at which it began to wait for the lock
 * decides by what was true before others decided.
 */
export function timeGoesForward({ setBacks }: Pick<Evidence, 'setBacks'>, log: Log): Finding {
  const problems: string[] = [];
  const latest = new Map<string, { readonly seq: number; readonly trueMs: number; readonly backMs: number }>();
  let examined = 0;
  for (const event of log.events) {
    const { seq, atMs, kind, subjectId } = event;
    if (!kind.startsWith('lease.')) continue;
    const about = log.leases.get(subjectId) ?? log.tickets.get(subjectId);
    if (about === undefined) continue;
    const { repo } = about;
    examined += 1;
    const before = latest.get(repo);
    const beforeMs = before?.trueMs ?? Number.NEGATIVE_INFINITY;
    const possible = trueTimes(atMs, setBacks);
    const trueMs = possible.find((ms) => ms >= beforeMs - ROUNDING_MS);
    if (trueMs === undefined)
      // Which of the two is wrong the times alone do not tell: one that is late may be explained by a set-back to come.
      problems.push(
        `${seq} ${kind} in ${repo} was decided by a time ${beforeMs - Math.max(...possible)} ms before that of ${before?.seq} before it, if the clock was ${before?.backMs} ms behind then`,
      );
    else if (trueMs >= beforeMs) latest.set(repo, { seq, trueMs, backMs: trueMs - atMs });
  }
  return { examined, problems };
}

/** What the machine's clock may have said when PostgreSQL's said this, earliest first: a time that was set back comes again. */
function trueTimes(atMs: number, setBacks: Evidence['setBacks']): number[] {
  const found: number[] = [];
  let backMs = 0;
  for (let epoch = 0; epoch <= setBacks.length; epoch += 1) {
    const sinceMs = setBacks[epoch - 1]?.fromMs ?? Number.NEGATIVE_INFINITY;
    const untilMs = setBacks[epoch]?.toMs ?? Infinity;
    const trueMs = atMs + backMs;
    if (trueMs >= sinceMs - ROUNDING_MS && trueMs <= untilMs + ROUNDING_MS) found.push(trueMs);
    backMs += setBacks[epoch]?.byMs ?? 0;
  }
  // A time that no epoch explains is one that was read too early: it stands for itself.
  return found.length > 0 ? found : [atMs];
}
