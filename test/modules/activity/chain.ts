import { createHash } from 'node:crypto';

/** An event as the API shows it. */
export interface Shown {
  readonly seq: number;
  readonly at: string;
  readonly kind: string;
  readonly actor: Record<string, unknown>;
  readonly subject: { kind: string; id: string };
  readonly data: Record<string, unknown>;
  readonly hash: string;
}

/** What a reader does who trusts nothing but the description in the API: RFC 8785, as far as these events need it. */
export function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join()}}`;
}

export const sha256 = (...parts: Buffer[]) => createHash('sha256').update(Buffer.concat(parts)).digest();

/** The seq of the first event whose hash is not what its content and the chain so far make it; null when all are. */
export function firstBroken(events: readonly Shown[]): number | null {
  let link = Buffer.alloc(32);
  for (const { seq, hash, actor, at, data, kind, subject } of events) {
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(BigInt(seq));
    link = sha256(link, number, sha256(Buffer.from(canonical({ actor, at, data, kind, subject }))));
    if (link.toString('hex') !== hash) return seq;
  }
  return null;
}
