import { Connection } from './connection.ts';
import { FightScript } from './fight.ts';
import type { Job, Measured } from './job.ts';
import { type Script, TemplateScript } from './script.ts';

/** What was counted, while it is gathered. */
interface Tally {
  readonly latencies: number[];
  /** Open loop only. */
  readonly late: number[];
  seconds: number;
}

/** After the last request was due, its answer has this long to come. */
const DRAIN_MS = 30_000;

/** @throws Error with the body of the first answer that was not expected */
export async function run(job: Job): Promise<Measured> {
  const script = job.fight === undefined ? new TemplateScript(job) : new FightScript(job, job.fight);
  const connections = await Promise.all(Array.from({ length: job.connections }, () => Connection.open(job.port)));
  try {
    const loop =
      job.rate === undefined ? closedLoop(job, script, connections) : openLoop(job, job.rate, script, connections);
    const { latencies, late, seconds } = await loop;
    return {
      requests: latencies.length,
      perSecond: latencies.length / seconds,
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
      ...(job.rate === undefined ? {} : { lateP99Ms: percentile(late, 0.99) }),
      answers: script.answers,
      next: script.unused,
    };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Each connection sends when its last answer is in. Counted is what is answered within the time. */
async function closedLoop(job: Job, script: Script, connections: readonly Connection[]): Promise<Tally> {
  const tally: Tally = { latencies: [], late: [], seconds: 0 };
  let counting = job.requests !== undefined;
  const drive = async (connection: Connection, index: number): Promise<void> => {
    for (let text = script.next(index); text !== null; text = script.next(index)) {
      const sentAt = performance.now();
      const answer = await connection.request(text);
      if (script.take(index, answer) && counting) tally.latencies.push(performance.now() - sentAt);
    }
  };
  const all = Promise.all(connections.map(drive));
  let startedAt = performance.now();
  if (job.requests === undefined) {
    // A connection that fails must end the wait, not be found after it.
    await Promise.race([all, pause(job.warmupSeconds)]);
    [startedAt, counting] = [performance.now(), true];
    await Promise.race([all, pause(job.seconds)]);
    counting = false;
    tally.seconds = (performance.now() - startedAt) / 1000;
    script.stop();
  }
  await all;
  if (job.requests !== undefined) tally.seconds = (performance.now() - startedAt) / 1000;
  return tally;
}

/**
 * Request i is due at i / rate, whatever became of those before it, and its latency runs from then: a server that stands
 * still for a moment pays for every request that should have been sent meanwhile. A request that finds no free connection
 * waits, and its waiting counts.
 */
async function openLoop(job: Job, rate: number, script: Script, connections: readonly Connection[]): Promise<Tally> {
  const tally: Tally = { latencies: [], late: [], seconds: 0 };
  const total = Math.round(rate * (job.warmupSeconds + job.seconds));
  const uncounted = Math.round(rate * job.warmupSeconds);
  const free = connections.map((_, index) => index);
  const startedAt = performance.now();
  const dueAt = (request: number) => startedAt + (request * 1000) / rate;
  let sent = 0;
  let answered = 0;
  let timers: NodeJS.Timeout[] = [];
  const everyAnswer = new Promise<void>((resolve, reject) => {
    const one = async (index: number, request: number): Promise<void> => {
      const text = script.next(index);
      if (text === null) throw new Error('the script has nothing to send');
      if (request >= uncounted) tally.late.push(performance.now() - dueAt(request));
      script.take(index, await connections[index]!.request(text));
      if (request >= uncounted) tally.latencies.push(performance.now() - dueAt(request));
      free.push(index);
      answered += 1;
      if (answered === total) resolve();
      else sendDue();
    };
    const sendDue = (): void => {
      const now = performance.now();
      while (sent < total && free.length > 0 && dueAt(sent) <= now) one(free.shift()!, sent++).catch(reject);
    };
    const giveUp = () => reject(new Error(`${job.path}: ${total - answered} of ${total} requests were not answered`));
    // Ticks as fine as timers go without keeping a core busy; what they add shows as lateness.
    timers = [setInterval(sendDue, 1), setTimeout(giveUp, dueAt(total) - startedAt + DRAIN_MS)];
  });
  await everyAnswer.finally(() => timers.forEach(clearTimeout));
  tally.seconds = (performance.now() - dueAt(uncounted)) / 1000;
  return tally;
}

function percentile(values: number[], share: number): number {
  values.sort((a, b) => a - b);
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
