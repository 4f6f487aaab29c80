import { type CST, Lexer, Parser } from 'yaml';
import { MAX_DEPTH } from './plain-value.ts';

export const MAX_TEXT_BYTES = 256 * 1024;
const MAX_TOKENS = 12_000;

/**
 * Refuses a text before the YAML composer sees it. The composer recurses, and a regular expression that V8 compiles
 * with its stack nearly used up ends the whole process ("RegExpCompiler Allocation failed"), past any try/catch; and
 * it is quadratic in the keys of one mapping and in the anchors of one node (12 s and 23 s were seen for 256 KiB). The
 * lexer and the parser below it do neither.
 */
export function refuseText(text: string): string | null {
  if (Buffer.byteLength(text, 'utf8') > MAX_TEXT_BYTES) return `is larger than ${MAX_TEXT_BYTES / 1024} KiB`;
  let tokens = 0;
  for (const _ of new Lexer().lex(text)) {
    tokens += 1;
    if (tokens > MAX_TOKENS) return `holds more than ${MAX_TOKENS} tokens`;
  }
  for (const token of new Parser().parse(text)) {
    if (isDeep(token)) return `is nested deeper than ${MAX_DEPTH} levels`;
  }
  return null;
}

function isDeep(root: CST.Token): boolean {
  const open: { token: CST.Token; depth: number }[] = [{ token: root, depth: 0 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { token, depth } = next;
    if (depth > MAX_DEPTH + 1) return true;
    for (const inner of childrenOf(token)) open.push({ token: inner, depth: depth + 1 });
  }
  return false;
}

function childrenOf(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return token.value ? [token.value] : [];
  if (!('items' in token)) return [];
  return token.items.flatMap((item) => [item.key, item.value].filter((inner) => inner !== null && inner !== undefined));
}
