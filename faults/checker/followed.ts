import { createHash } from 'node:crypto';
import type { Evidence } from '../evidence.ts';
import type { FollowedEvent } from '../workload/follower.ts';
import type { Finding } from './finding.ts';

/** Who followed throughout got 1, 2, 3 … each once and in order, as the table has them, in a chain of hashes that holds. */
export function nothingSkippedOrDoubled({ followed, events }: Pick<Evidence, 'followed' | 'events'>): Finding {
  const problems: string[] = [];
  let link: Buffer = Buffer.alloc(32);
  let last = 0;
  for (const event of followed) {
    if (event.seq !== last + 1) problems.push(`after ${last} came ${event.seq}`);
    last = event.seq;
    link = next(link, event);
    if (link.toString('hex') !== event.hash)
      problems.push(`the hash of ${event.seq} is not that of its content and what was before`);
    // One break is one finding.
    link = Buffer.from(event.hash, 'hex');
    if (events[event.seq - 1]?.hash !== event.hash) problems.push(`${event.seq} is another one in the table`);
  }
  if (followed.length < events.length) problems.push(`${followed.length} of ${events.length} events arrived`);
  events.forEach(({ seq }, index) => {
    if (seq !== index + 1) problems.push(`the table has ${seq} where ${index + 1} should be`);
  });
  return { examined: followed.length, problems };
}

/** As the API describes it; nothing here is the server's code. */
function next(link: Buffer, { seq, actor, at, data, kind, subject }: FollowedEvent): Buffer {
  const number = Buffer.alloc(8);
  number.writeBigInt64BE(BigInt(seq));
  return sha256(link, number, sha256(Buffer.from(canonical({ actor, at, data, kind, subject }))));
}

function sha256(...parts: readonly Buffer[]): Buffer {
  return createHash('sha256').update(Buffer.concat(parts)).digest();
}

/** RFC 8785, as far as these events need it. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join()}}`;
}
