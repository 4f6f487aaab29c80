import { type CST, Lexer, Parser } from 'yaml';

export interface YamlLimits {
  readonly bytes: number;
  readonly tokens: number;
  readonly depth: number;
}

/**
 * Refuses a text before the YAML composer sees it. The composer recurses, and a regular expression that V8 compiles
 * with its stack nearly used up ends the whole process ("RegExpCompiler Allocation failed"), past any try/catch; and
 * it is quadratic in the keys of one mapping and in the anchors of one node (12 s and 23 s were seen for 256 KiB). The
 * lexer and the parser below it do neither.
 */
export function refuseYaml(text: string, limits: YamlLimits): string | null {
  if (Buffer.byteLength(text, 'utf8') > limits.bytes) return `is larger than ${limits.bytes / 1024} KiB`;
  let tokens = 0;
  for (const _ of new Lexer().lex(text)) {
    tokens += 1;
    if (tokens > limits.tokens) return `holds more than ${limits.tokens} tokens`;
  }
  for (const token of new Parser().parse(text)) {
    if (isDeep(token, limits.depth)) return `is nested deeper than ${limits.depth} levels`;
  }
  return null;
}

function isDeep(root: CST.Token, limit: number): boolean {
  const open: { token: CST.Token; depth: number }[] = [{ token: root, depth: 0 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { token, depth } = next;
    if (depth > limit + 1) return true;
    for (const inner of childrenOf(token)) open.push({ token: inner, depth: depth + 1 });
  }
  return false;
}

function childrenOf(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return token.value ? [token.value] : [];
  if (!('items' in token)) return [];
  return token.items.flatMap((item) => [item.key, item.value].filter((inner) => inner !== null && inner !== undefined));
}
