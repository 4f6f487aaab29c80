/** One measurement in a process of its own. Reads one JSON job from argv, prints one JSON result. */
import { Agent, request } from 'node:http';
import { finished } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type BenchSpan, benchSpans, encodeSpans, idOffsets, RESOURCE, renumber, SPANS_PER_REQUEST } from './batch.ts';

export interface SpanJob {
  readonly kind: 'ours' | 'plain';
  readonly port: number;
  readonly url: string;
  readonly key: string;
  readonly connections: number;
  readonly seconds: number;
}

export interface MeasuredSpans {
  readonly spansPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const WARM_UP_MS = 1500;
const COLUMNS =
  'org_id, day, trace_id, span_id, parent_span_id, start_nanos, end_nanos, name, kind, status, service, session_id, model, input_tokens, output_tokens, attributes, resource, details';

let requests = Math.floor(Math.random() * 2 ** 31);

/** Requests one after the other on each connection until the time is over. */
async function drive(job: SpanJob, send: () => Promise<void>): Promise<MeasuredSpans> {
  const latencies: number[] = [];
  const startedAt = performance.now() + WARM_UP_MS;
  const endsAt = startedAt + job.seconds * 1000;
  const lane = async (): Promise<void> => {
    while (performance.now() < endsAt) {
      const sentAt = performance.now();
      await send();
      const now = performance.now();
      if (now >= startedAt && now < endsAt) latencies.push(now - sentAt);
    }
  };
  await Promise.all(Array.from({ length: job.connections }, lane));
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  const spansPerSecond = (latencies.length * SPANS_PER_REQUEST) / job.seconds;
  return { spansPerSecond, p50Ms: at(0.5), p99Ms: at(0.99) };
}

async function ours(job: SpanJob): Promise<MeasuredSpans> {
  const agent = new Agent({ keepAlive: true, maxSockets: job.connections });
  const spans = benchSpans();
  const template = encodeSpans(spans);
  const offsets = idOffsets(template, spans);
  const headers = {
    authorization: `Bearer ${job.key}`,
    'content-type': 'application/x-protobuf',
    'content-length': template.length,
  };
  const send = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const body = Buffer.from(template);
      renumber(body, offsets, (requests += 1));
      const options = { agent, host: '127.0.0.1', port: job.port, path: '/v1/traces', method: 'POST', headers };
      const sent = request(options, (response) => {
        let size = 0;
        response.on('data', (chunk: Buffer) => (size += chunk.length));
        // Full success is an empty body; anything else makes the figure worthless.
        response.on('end', () =>
          response.statusCode === 200 && size === 0 ? resolve() : reject(new Error(`answered ${response.statusCode}`)),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });
  const measured = await drive(job, send);
  agent.destroy();
  return measured;
}

/** The same rows, staged with COPY and inserted ON CONFLICT DO NOTHING, as whoever owns the tables. */
async function plain(job: SpanJob): Promise<MeasuredSpans> {
  const client = new pg.Client({ connectionString: job.url });
  await client.connect();
  await client.query('SELECT ensure_span_partition(current_date)');
  await client.query('CREATE TEMPORARY TABLE plain_stage (LIKE span) ON COMMIT DELETE ROWS');
  const spans = benchSpans();
  const orgId = crypto.randomUUID();
  const send = async (): Promise<void> => {
    const number = (requests += 1);
    await client.query('BEGIN');
    const stream = client.query(copyFrom(`COPY plain_stage (${COLUMNS}) FROM STDIN`));
    stream.end(spans.map((span) => line(orgId, span, number)).join(''));
    await finished(stream);
    await client.query(`INSERT INTO span (${COLUMNS}) SELECT ${COLUMNS} FROM plain_stage ON CONFLICT DO NOTHING`);
    await client.query('COMMIT');
  };
  const measured = await drive(job, send);
  await client.end();
  return measured;
}

function line(orgId: string, span: BenchSpan, number: number): string {
  const { attributes } = span;
  const id = (bytes: Buffer | null): string => {
    if (bytes === null) return '\\N';
    const own = Buffer.from(bytes);
    own.writeUInt32BE(number, 0);
    return `\\\\x${own.toString('hex')}`;
  };
  const json = (value: object) => JSON.stringify(value).replaceAll('\\', '\\\\');
  const day = new Date(Number(span.startNanos / 1_000_000n)).toISOString().slice(0, 10);
  const hot = [
    RESOURCE['service.name'],
    attributes['session.id'],
    attributes['gen_ai.request.model'],
    attributes['input_tokens'],
    attributes['output_tokens'],
  ];
  return `${[orgId, day, id(span.traceId), id(span.spanId), id(span.parentSpanId), span.startNanos, span.endNanos, span.name, 1, 0, ...hot, json(attributes), json(RESOURCE), '{"scope":{"name":"bench"}}'].join('\t')}\n`;
}

const job = JSON.parse(process.argv[2] ?? '') as SpanJob;
process.stdout.write(JSON.stringify(await (job.kind === 'ours' ? ours(job) : plain(job))));
