import { gzipSync } from 'node:zlib';
import type { Caller, TestServer } from '../../support/server.ts';
import { decode, encode, toProto } from './wire.ts';

export type Signal = 'traces' | 'logs' | 'metrics';
export type Encoding = 'protobuf' | 'json';

const REQUEST_TYPES = {
  traces: 'ExportTraceServiceRequest',
  logs: 'ExportLogsServiceRequest',
  metrics: 'ExportMetricsServiceRequest',
} as const;

export const MEDIA_TYPES = { protobuf: 'application/x-protobuf', json: 'application/json' } as const;

export interface OtlpReply {
  readonly status: number;
  readonly type: string | null;
  readonly headers: Headers;
  readonly bytes: Buffer;
}

/** Posts bytes as they are. */
export async function postBytes(
  server: Pick<TestServer, 'url'>,
  caller: Pick<Caller, 'secret'>,
  signal: Signal,
  body: Buffer | string,
  headers: Record<string, string>,
): Promise<OtlpReply> {
  const response = await fetch(`${server.url}/v1/${signal}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${caller.secret}`, ...headers },
    body: new Uint8Array(Buffer.from(body as string)),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, type: response.headers.get('content-type'), headers: response.headers, bytes };
}

/** Posts a request, given as OTLP's JSON, in either encoding; gzip unless told otherwise. */
export async function postOtlp(
  server: Pick<TestServer, 'url'>,
  caller: Pick<Caller, 'secret'>,
  signal: Signal,
  message: object,
  { encoding = 'protobuf', gzip = true }: { encoding?: Encoding; gzip?: boolean } = {},
): Promise<OtlpReply> {
  const plain =
    encoding === 'json' ? Buffer.from(JSON.stringify(message)) : encode(REQUEST_TYPES[signal], toProto(message));
  return postBytes(server, caller, signal, gzip ? gzipSync(plain) : plain, {
    'content-type': MEDIA_TYPES[encoding],
    ...(gzip ? { 'content-encoding': 'gzip' } : {}),
  });
}

const RESPONSE_TYPES = {
  traces: 'ExportTraceServiceResponse',
  logs: 'ExportLogsServiceResponse',
  metrics: 'ExportMetricsServiceResponse',
} as const;

/** What an answer says, whatever its encoding: an Export…Response of 200, else a google.rpc.Status. */
export function told(reply: OtlpReply, signal: Signal): Record<string, unknown> {
  if (reply.type === MEDIA_TYPES.json) return JSON.parse(reply.bytes.toString()) as Record<string, unknown>;
  if (reply.type !== MEDIA_TYPES.protobuf) throw new Error(`answered as ${reply.type}`);
  return decode(reply.status === 200 ? RESPONSE_TYPES[signal] : 'RpcStatus', reply.bytes);
}

/** Rows of an org, as the database's superuser sees them. */
export async function spanRows(
  server: TestServer,
  orgId: string,
): Promise<{ trace_id: string; span_id: string; [column: string]: unknown }[]> {
  return server.sql(
    `SELECT s.*, encode(trace_id, 'hex') AS trace_id, encode(span_id, 'hex') AS span_id, encode(parent_span_id, 'hex') AS parent_span_id,
       start_nanos::text, end_nanos::text, input_tokens::int, output_tokens::int, day::text, attributes::text
     FROM span s WHERE org_id = $1 ORDER BY s.start_nanos, s.span_id`,
    [orgId],
  );
}
