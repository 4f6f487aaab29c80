import type { Fields } from './job.ts';

/** Which request a template is filled for. */
export interface Slot {
  /** Unlike any other request's of the benchmark. */
  readonly n: number;
  /** Its place in the job, from 0. */
  readonly i: number;
  readonly lane: Fields;
  readonly item: Fields;
}

const PLACEHOLDER = /\{([a-z]\w*)(?:\/(\d+))?(?:%(\d+))?\}/gi;

/**
 * `{n}` and `{i}` become numbers, after `/` integer division and `%` remainder (`{i/500%64}`); any other `{name}` that of
 * the request's item or connection. Braces around anything else stay as they are: bodies are JSON.
 */
export function compileTemplate(source: string): (slot: Slot) => string {
  const parts: (string | ((slot: Slot) => string))[] = [];
  let at = 0;
  for (const found of source.matchAll(PLACEHOLDER)) {
    parts.push(source.slice(at, found.index), placeholder(found));
    at = found.index + found[0].length;
  }
  parts.push(source.slice(at));
  return (slot) => {
    let text = '';
    for (const part of parts) text += typeof part === 'string' ? part : part(slot);
    return text;
  };
}

function placeholder([, name = '', divisor = '1', modulus]: RegExpMatchArray): (slot: Slot) => string {
  if (name === 'n' || name === 'i') {
    return (slot) => {
      const quotient = Math.floor(slot[name] / Number(divisor));
      return String(modulus === undefined ? quotient : quotient % Number(modulus));
    };
  }
  return ({ lane, item }) => {
    const value = item[name] ?? lane[name];
    if (value === undefined) throw new Error(`no value for {${name}}`);
    return value;
  };
}
