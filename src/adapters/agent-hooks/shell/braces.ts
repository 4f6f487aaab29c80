import { LIMITS } from './model.ts';

/**
 * The words that a brace expansion such as `{a,b{1..3}}` stands for, when its text has neither quotes nor
 * expansions; undefined if it is not such a text or too large.
 */
export function expandBraces(text: string): readonly string[] | undefined {
  if (/[^\w.,{}/@%+:=~-]/.test(text) || text.length > 512) return undefined;
  return expand(text);
}

function expand(text: string): readonly string[] | undefined {
  const open = text.indexOf('{');
  if (open < 0) return text.includes('}') ? undefined : [text];
  const close = matching(text, open);
  if (close < 0) return undefined;
  const choices = inner(text.slice(open + 1, close));
  const tails = expand(text.slice(close + 1));
  if (choices === undefined || tails === undefined) return undefined;
  if (choices.length * tails.length > LIMITS.braceWords) return undefined;
  return choices.flatMap((choice) => tails.map((tail) => text.slice(0, open) + choice + tail));
}

function inner(body: string): readonly string[] | undefined {
  const items = splitTop(body);
  if (items.length === 1) return range(body);
  const words: string[] = [];
  for (const item of items) {
    const expanded = expand(item);
    if (expanded === undefined || words.length + expanded.length > LIMITS.braceWords) return undefined;
    words.push(...expanded);
  }
  return words;
}

/** `1..3` and `a..c`; zero-padded and stepped ranges are left to be flagged. */
function range(body: string): readonly string[] | undefined {
  const found = /^(-?[1-9]\d{0,5}|0|[a-z]|[A-Z])\.\.(-?[1-9]\d{0,5}|0|[a-z]|[A-Z])$/.exec(body);
  if (found === null) return undefined;
  const [from, to] = [found[1]!, found[2]!];
  const numeric = /\d/.test(from);
  if (numeric !== /\d/.test(to)) return undefined;
  const [start, end] = numeric ? [Number(from), Number(to)] : [from.charCodeAt(0), to.charCodeAt(0)];
  const length = Math.abs(end - start) + 1;
  if (length > LIMITS.braceWords || (!numeric && /[a-z]/.test(from) !== /[a-z]/.test(to))) return undefined;
  const step = end < start ? -1 : 1;
  return Array.from({ length }, (_, at) => {
    const value = start + step * at;
    return numeric ? String(value) : String.fromCharCode(value);
  });
}

function matching(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === '{') depth += 1;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return -1;
}

function splitTop(body: string): string[] {
  const items = [''];
  let depth = 0;
  for (const char of body) {
    if (char === '{') depth += 1;
    if (char === '}') depth -= 1;
    if (char === ',' && depth === 0) items.push('');
    else items[items.length - 1] += char;
  }
  return items;
}
