/**
 * A closed-loop HTTP/1.1 load generator on raw sockets, in a process of its own so that it measures and does not share
 * the server's event loop. Reads one JSON job from argv, prints one JSON result.
 */
import { connect, type Socket } from 'node:net';

export interface Job {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** `{n}` becomes a number that no other request of this job has. */
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
  /** Not counted: connections and caches warm up. */
  readonly warmupSeconds: number;
  /** First `{n}`. */
  readonly from: number;
}

export interface Measured {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers that were not 2xx, by status; anything here makes the figure worthless. */
  readonly failures: Readonly<Record<string, number>>;
  readonly next: number;
}

async function run(job: Job): Promise<Measured> {
  let next = job.from;
  let counting = false;
  let stopping = false;
  const latencies: number[] = [];
  const failures: Record<string, number> = {};
  const head = Object.entries(job.headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');

  const request = (): string => {
    const body = job.body.replaceAll('{n}', String(next++));
    return `POST ${job.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${head}\r\n${body}`;
  };

  const drive = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket: Socket = connect(job.port, '127.0.0.1');
      socket.setNoDelay(true);
      let sentAt = 0;
      let pending: Buffer = Buffer.alloc(0);
      const send = () => {
        if (stopping) return void socket.end(resolve);
        sentAt = performance.now();
        socket.write(request());
      };
      socket.on('connect', send);
      socket.on('error', reject);
      socket.on('data', (chunk: Buffer) => {
        pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
        const end = pending.indexOf('\r\n\r\n');
        if (end < 0) return;
        const header = pending.toString('latin1', 0, end);
        const length = Number(/content-length: (\d+)/i.exec(header)?.[1] ?? 0);
        if (pending.length < end + 4 + length) return;
        const status = header.slice(9, 12);
        if (!status.startsWith('2')) failures[status] = (failures[status] ?? 0) + 1;
        if (counting) latencies.push(performance.now() - sentAt);
        pending = Buffer.alloc(0);
        send();
      });
    });

  const all = Promise.all(Array.from({ length: job.connections }, drive));
  await pause(job.warmupSeconds);
  counting = true;
  const startedAt = performance.now();
  await pause(job.seconds);
  counting = false;
  const seconds = (performance.now() - startedAt) / 1000;
  stopping = true;
  await all;
  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN;
  return {
    requests: latencies.length,
    perSecond: latencies.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    failures,
    next,
  };
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

process.stdout.write(JSON.stringify(await run(JSON.parse(process.argv[2] ?? '') as Job)));
