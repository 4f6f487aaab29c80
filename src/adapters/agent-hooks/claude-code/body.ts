import type { IncomingMessage } from 'node:http';
import { eventIn } from './payload.ts';

/** A hook's body as far as it could be read. */
export type HookBody =
  | { readonly kind: 'read'; readonly value: unknown }
  /** `event` is the name found in what there is; null if none is. */
  | { readonly kind: 'unreadable'; readonly why: string; readonly event: string | null };

/** A written file comes whole, and once more in the tool's answer. */
export const BODY_LIMIT_BYTES = 8 * 1024 * 1024;
/** Kept of a body that is too large: the event's name stands before the tool's input. */
const HEAD_CHARACTERS = 64 * 1024;

/**
 * Reads a body of any content type, and to its end even when it is too large to keep: a client that is still writing
 * would miss an answer sent before.
 */
export async function readBody(stream: IncomingMessage, limitBytes: number): Promise<HookBody> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= limitBytes) chunks.push(chunk);
    else if (chunks.length === 0) chunks.push(chunk.subarray(0, limitBytes));
  }
  const text = Buffer.concat(chunks).toString('utf8');
  const event = (): string | null => eventIn(text.slice(0, HEAD_CHARACTERS));
  if (size > limitBytes) {
    return { kind: 'unreadable', why: `the hook's body has more than ${limitBytes} bytes.`, event: event() };
  }
  try {
    return { kind: 'read', value: JSON.parse(text.replace(/^\ufeff/, '')) };
  } catch {
    return { kind: 'unreadable', why: "the hook's body is not JSON.", event: event() };
  }
}
