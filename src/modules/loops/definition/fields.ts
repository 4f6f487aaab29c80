import type { z } from 'zod';
import type { Report, SourcePath } from './report.ts';

/** Reads one value into its normal form; undefined when it was refused, which it has then reported. */
export type Read = (value: unknown, at: SourcePath, report: Report) => unknown;

/** One known key: the name that it has in the normal form, and how its value is read. */
export interface Field {
  as: string;
  read: Read;
}

export type Fields = Readonly<Record<string, Field>>;

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Takes a value as it is, if the schema does. */
export function checked(schema: z.ZodType): Read {
  return (value, at, report) => {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      report.error([...at, ...issue.path.map((key) => (typeof key === 'number' ? key : String(key)))], issue.message);
    }
    return undefined;
  };
}

/** The same field under several spellings. */
export function spelled(keys: readonly string[], as: string, read: Read): Fields {
  return Object.fromEntries(keys.map((key) => [key, { as, read }]));
}

/**
 * Reads an object by its known keys. A null stands for "not given", as an empty value does in YAML. An unknown key
 * is kept as it is and reported: dropping it would lose what another tool needs, and refusing it would keep out
 * definitions that a newer tool wrote.
 */
export function readObject(value: unknown, at: SourcePath, fields: Fields, report: Report): Record<string, unknown> {
  if (!isRecord(value)) {
    report.error(at, 'must be a mapping of keys to values');
    return {};
  }
  const out: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    const name = field?.as ?? key;
    if (field && inner === null) continue;
    if (Object.hasOwn(out, name)) {
      report.error([...at, key], `is given twice, under two spellings of ${name}`);
      continue;
    }
    if (!field) report.warn('unknown_key', [...at, key], 'is not a key that Signalbox knows; it is kept as it is');
    const read = field ? field.read(inner, [...at, key], report) : inner;
    if (read !== undefined) out[name] = read;
  }
  return out;
}
