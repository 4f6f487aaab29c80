import path from 'node:path';
import protobuf from 'protobufjs';

const root = protobuf.loadSync(path.join(import.meta.dirname, 'otlp.proto'));

/** Encodes with protobufjs. Field names in camelCase, bytes as Buffer, 64-bit numbers as decimal strings. */
export function encode(type: string, message: object): Buffer {
  const found = root.lookupType(type);
  return Buffer.from(found.encode(found.fromObject(message)).finish());
}

/** Decodes with protobufjs; 64-bit numbers as decimal strings, fields that are not set left out. */
export function decode(type: string, bytes: Uint8Array): Record<string, unknown> {
  const found = root.lookupType(type);
  return found.toObject(found.decode(bytes), { longs: String });
}

/** A span as OTLP's JSON has it; `overrides` may hold anything. */
export function jsonSpan(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  const start = BigInt(Date.now()) * 1_000_000n + 123_457n;
  return {
    traceId: randomHex(16),
    spanId: randomHex(8),
    name: 'work',
    kind: 1,
    startTimeUnixNano: String(start),
    endTimeUnixNano: String(start + 2_000_001n),
    ...overrides,
  };
}

export function jsonTraces(spans: readonly object[], resource: Readonly<Record<string, string>> = {}): object {
  const attributes = Object.entries(resource).map(([key, stringValue]) => ({ key, value: { stringValue } }));
  return { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope: { name: 'test' }, spans }] }] };
}

export function jsonLogs(logRecords: readonly object[], resource: Readonly<Record<string, string>> = {}): object {
  const attributes = Object.entries(resource).map(([key, stringValue]) => ({ key, value: { stringValue } }));
  return { resourceLogs: [{ resource: { attributes }, scopeLogs: [{ scope: { name: 'test' }, logRecords }] }] };
}

/** OTLP's JSON as protobuf's objects: the ids, hex there, are bytes here. */
export function toProto(json: unknown): object {
  return withBytes('', json) as object;
}

const IDS: ReadonlySet<string> = new Set(['traceId', 'spanId', 'parentSpanId']);

function withBytes(name: string, value: unknown): unknown {
  if (IDS.has(name)) return Buffer.from(String(value), 'hex');
  if (Array.isArray(value)) return value.map((each) => withBytes('', each));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withBytes(key, each)]));
}

export function randomHex(bytes: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');
}
