import stringWidth from 'string-width';

/**
 * Everything Unicode calls other (control, format, surrogate, private, unassigned) and the line separators: escape
 * sequences that move the cursor or answer for the user, marks that turn the direction of text, characters that take no room.
 */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/gu;
const SEGMENTER = new Intl.Segmenter('en', { granularity: 'grapheme' });

const BREAKS: ReadonlyMap<string, string> = new Map([
  ['\t', '\\t'],
  ['\n', '\\n'],
  ['\r', '\\r'],
]);

/**
 * Text of others as one line that a terminal only shows. What a terminal could act on is spelled out, as `\u{1b}`,
 * rather than dropped: whoever approves a command must see that there was something.
 */
export function exact(text: string): string {
  return text.replaceAll(UNSAFE, (found) => BREAKS.get(found) ?? `\\u{${found.codePointAt(0)!.toString(16)}}`);
}

/** As `exact`, for prose: a line break is a space. */
export function plain(text: string): string {
  return exact(text.replaceAll(/[\t\n\r]+/g, ' '));
}

/** The same value as JSON, with the characters escaped that JSON would let through to the terminal. */
export function json(value: unknown): string {
  const unitsOf = (found: string) =>
    Array.from({ length: found.length }, (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`).join(
      '',
    );
  return JSON.stringify(value, null, 2).replaceAll(UNSAFE, (found) => (found === '\n' ? found : unitsOf(found)));
}

/** Columns on a terminal. */
export const widthOf = (text: string): number => stringWidth(text);

/** At most `width` columns, the end of what is too long replaced by an ellipsis. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  const [kept] = split(text, Math.max(0, width - 1));
  return `${kept}…`;
}

export function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)));
}

/** Lines of at most `width` columns that together hold all of the text: broken at spaces, and inside a word that is longer. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (widthOf(rest) > width) {
    const [head] = split(rest, width);
    const fits = rest[head.length] === ' ' ? head.length : head.lastIndexOf(' ');
    const end = fits > 0 ? fits : head.length;
    lines.push(rest.slice(0, end));
    rest = rest.slice(rest[end] === ' ' ? end + 1 : end);
  }
  return [...lines, rest];
}

/** The longest beginning of at most `width` columns, one character at the least, and what is left. */
function split(text: string, width: number): [string, string] {
  let columns = 0;
  let end = 0;
  for (const { segment } of SEGMENTER.segment(text)) {
    columns += widthOf(segment);
    if (columns > width && end > 0) break;
    end += segment.length;
    if (columns > width) break;
  }
  return [text.slice(0, end), text.slice(end)];
}
