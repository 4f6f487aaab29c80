import type { Evidence } from '../evidence.ts';
import type { Kind, Operation } from '../workload/history.ts';
import type { Finding } from './finding.ts';

/** What a server may answer whatever was asked: it has no database, or too much to do. */
const ANY_TIME = new Set([503, 429]);

/** What a client that behaves like ours may be told, by status and code; anything else is a server that lost its way. */
const EXPECTED: Readonly<Record<Kind, readonly string[]>> = {
  start: ['201'],
  acquire: [
    '201',
    '202',
    '409 lease_conflict',
    '409 lease_deadlock',
    '409 lease_wait_on_self',
    '409 lease_revoked',
    '409 lease_wait_ended',
    '409 run_finished',
  ],
  admit: ['200', '409 lease_deadlock', '409 lease_wait_on_self', '409 run_finished'],
  renew: ['200', '409 fence_stale', '403 not_your_run'],
  release: ['200', '409 fence_stale', '403 not_your_run'],
  heartbeat: ['200', '409 epoch_stale', '409 run_finished'],
  finish: ['200', '409 epoch_stale', '409 run_finished'],
  resume: ['200', '409 run_finished'],
  verify: ['200'],
  poll: ['200'],
  cancel: ['200', '409 ticket_settled'],
  revoke: ['200', '409 fence_stale', '409 lease_over'],
};

export function nothingUnexpectedAnswered(history: readonly Operation[]): Finding {
  const problems: string[] = [];
  let examined = 0;
  for (const { kind, reply, sent, runId, server, answeredMs } of history) {
    if (reply === null) continue;
    examined += 1;
    const { status, body } = reply;
    const { code } = body as { code?: string };
    const said = status < 300 || code === undefined ? String(status) : `${status} ${code}`;
    if (ANY_TIME.has(status) || EXPECTED[kind].includes(said)) continue;
    problems.push(
      `${kind} of run ${runId} to server ${server + 1} at ${answeredMs!.toFixed(0)} ms: ${said} ${JSON.stringify(body).slice(0, 300)} to ${JSON.stringify(sent)}`,
    );
  }
  return { examined, problems };
}

/** Once nothing breaks any more, every run can be ended. */
export function everythingEnds({
  unfinished,
  history,
  calmMs,
}: Pick<Evidence, 'unfinished' | 'history' | 'calmMs'>): Finding {
  const afterwards = history.filter(({ kind, invokedMs }) => kind === 'finish' && invokedMs >= calmMs);
  return { examined: afterwards.length, problems: unfinished.map((runId) => `run ${runId} could not be ended`) };
}
