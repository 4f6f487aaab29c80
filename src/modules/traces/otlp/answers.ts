/** The two encodings of OTLP/HTTP. An answer is in the encoding of its request, an error too. */
export type Encoding = 'protobuf' | 'json';

export const CONTENT_TYPES: Readonly<Record<Encoding, string>> = {
  protobuf: 'application/x-protobuf',
  json: 'application/json',
};

/** The encoding that a Content-Type names, whatever parameters it has; null for any other. */
export function encodingOf(contentType: string | undefined): Encoding | null {
  const type = (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (type === CONTENT_TYPES.protobuf) return 'protobuf';
  return type === CONTENT_TYPES.json ? 'json' : null;
}

export type Signal = 'traces' | 'logs' | 'metrics';

/** What is told of items that were not taken while the others were. */
export interface Rejected {
  readonly count: number;
  readonly message: string;
}

const REJECTED_NAMES: Readonly<Record<Signal, string>> = {
  traces: 'rejectedSpans',
  logs: 'rejectedLogRecords',
  metrics: 'rejectedDataPoints',
};

/** An Export…ServiceResponse. `partial_success` is left unset when all was taken. */
export function exportAnswer(encoding: Encoding, signal: Signal, rejected: Rejected | null): Buffer {
  if (encoding === 'json') {
    if (rejected === null) return Buffer.from('{}');
    const partialSuccess = { [REJECTED_NAMES[signal]]: String(rejected.count), errorMessage: rejected.message };
    return Buffer.from(JSON.stringify({ partialSuccess }));
  }
  if (rejected === null) return Buffer.alloc(0);
  const partial = Buffer.concat([varintField(1, rejected.count), textField(2, rejected.message)]);
  return bytesField(1, partial);
}

/** A google.rpc.Status. */
export function statusAnswer(encoding: Encoding, code: number, message: string): Buffer {
  if (encoding === 'json') return Buffer.from(JSON.stringify({ code, message }));
  return Buffer.concat([varintField(1, code), textField(2, message)]);
}

/** google.rpc.Code of an HTTP status. */
export function rpcCodeOf(status: number): number {
  return RPC_CODES[status] ?? (status >= 500 ? 13 : 3);
}

const RPC_CODES: Readonly<Record<number, number>> = { 401: 16, 403: 7, 404: 5, 413: 8, 429: 8, 503: 14 };

function varintField(field: number, value: number): Buffer {
  return Buffer.from([...varint(field * 8), ...varint(value)]);
}

function textField(field: number, text: string): Buffer {
  return bytesField(field, Buffer.from(text));
}

function bytesField(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(bytes.length)]), bytes]);
}

/** @param value a whole number from 0 to 2^53 */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}
