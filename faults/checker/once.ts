import { leaseIn, type Operation, ticketIn } from '../workload/history.ts';
import { type Finding, groupBy } from './finding.ts';
import type { Log } from './log.ts';

/** One wish, one grant and one place in a queue at most, however often it was sent; and all answers to one key name the same thing. */
export function nothingGrantedTwice(history: readonly Operation[], log: Log): Finding {
  const problems: string[] = [];
  for (const [purpose, same] of groupBy(log.leases.values(), (one) => one.purpose)) {
    if (purpose === null || same.length === 1) continue;
    problems.push(`${purpose}: ${same.length} grants, at ${same.map(({ seq }) => seq).join(', ')}`);
  }
  for (const [purpose, same] of groupBy(log.tickets.values(), (one) => one.purpose)) {
    // An admission keeps nothing of a wait that led to nothing: its retry stands in the queue anew.
    const again = same.find(({ seq }, index) => index > 0 && seq < (same[index - 1]!.end?.seq ?? Infinity));
    if (purpose !== null && again !== undefined)
      problems.push(`${purpose}: a second place in the queue at ${again.seq}`);
  }
  const answers = new Map<string, string>();
  let examined = 0;
  for (const operation of history) {
    const { key, reply, kind } = operation;
    if (key === null || reply === null || reply.status >= 300) continue;
    examined += 1;
    const lease = leaseIn(reply);
    const kinds = {
      lease: lease === null ? null : `${lease.id} with fence ${lease.fence}`,
      ticket: ticketIn(operation)?.id ?? null,
      run: kind === 'start' ? String(reply.body['id']) : null,
    };
    for (const [what, name] of Object.entries(kinds)) {
      if (name === null) continue;
      const first = answers.get(`${what} ${key}`) ?? name;
      answers.set(`${what} ${key}`, first);
      if (first !== name) problems.push(`${key} was answered with ${what} ${first}, then ${name}`);
    }
  }
  return { examined, problems };
}
