/** What a stored matcher is found by. Always folded: one index serves both case modes, and folding only widens. */
export interface IndexKey {
  readonly kind: 'literal' | 'pattern';
  /** A literal: its text. A pattern: the directory that all its paths lie below, ending in `/`, or ''. */
  readonly key: string;
  /** The extension that all its paths share, with the dot; '' if they have none, null if they may differ. */
  readonly tail: string | null;
}

/** Code units of a literal's key: a B-tree entry must stay below a third of a page. No pattern's key is longer. */
export const KEY_LENGTH_MAX = 512;
/** Code units of a tail. */
export const TAIL_LENGTH_MAX = 32;

export function literalKey(folded: string): IndexKey {
  return { kind: 'literal', key: cut(folded, KEY_LENGTH_MAX), tail: literalTail(folded) };
}

/** Never through a surrogate pair: half of one cannot be stored. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}

function literalTail(folded: string): string {
  const dot = folded.lastIndexOf('.');
  return dot <= folded.lastIndexOf('/') ? '' : cut(folded.slice(dot), TAIL_LENGTH_MAX);
}
