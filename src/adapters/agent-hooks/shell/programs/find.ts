import type { Field } from '../field.ts';
import { concat, escapePattern, literal, mayBeOption, patternOf, textOf } from '../field.ts';
import type { Handler, Outcome } from '../outcome.ts';
import { deletes, edits, flag } from '../outcome.ts';

const TESTS_ALONE =
  /^(-(true|false|empty|readable|writable|executable|nouser|nogroup|daystart|depth|d|follow|mount|xdev|noleaf|warn|nowarn|print|print0|ls|prune|quit|noignore_readdir_race|ignore_readdir_race))$/;
const TESTS_VALUED =
  /^-(name|iname|path|ipath|wholename|iwholename|regex|iregex|lname|ilname|type|xtype|size|mtime|mmin|atime|amin|ctime|cmin|newer|anewer|cnewer|newer..|user|group|uid|gid|perm|links|inum|samefile|maxdepth|mindepth|regextype|fstype|used|printf|context)$/;
/** With these, what is found is not narrowed by every test. */
const LOGIC = /^(-o|-or|-not|!|\(|\)|,|-a|-and)$/;

interface Expression {
  /** The one `-name` that all results match; undefined if there is none. */
  name: string | undefined;
  readonly actions: { readonly kind: string; readonly words: readonly Field[] }[];
  readonly problems: Outcome[];
}

const find: Handler = ({ args }) => {
  let at = 0;
  while (at < args.length && /^-([HLP]+|O\d?)$/.test(textOf(args[at]) ?? '')) at += 1;
  const starts: Field[] = [];
  while (at < args.length && !isExpression(args[at]!)) starts.push(args[at++]!);
  const expression = readExpression(args.slice(at));
  for (const start of starts)
    if (mayBeOption(start)) expression.problems.push(flag(start.unknown ?? 'glob', `find ${start.text}`));
  const roots = starts.length === 0 ? [literal('.')] : starts;
  return [
    ...expression.problems,
    ...expression.actions.flatMap((action) => roots.flatMap((root) => act(action, root, expression.name))),
  ];
};

function isExpression(field: Field): boolean {
  return field.unknown === undefined && field.pattern === undefined && /^(-.|[(),!]$)/.test(field.text);
}

function readExpression(args: readonly Field[]): Expression {
  const expression: Expression = { name: undefined, actions: [], problems: [] };
  const names: string[] = [];
  let narrowed = true;
  for (let at = 0; at < args.length; at++) {
    const field = args[at]!;
    const text = textOf(field);
    if (text === undefined) expression.problems.push(flag(field.unknown ?? 'glob', `find ${field.text}`));
    else if (LOGIC.test(text)) narrowed &&= text === '-a' || text === '-and';
    else if (TESTS_VALUED.test(text)) {
      const value = textOf(args[++at]);
      if (text === '-name' && value !== undefined) names.push(value);
      if (args[at]?.loose) expression.problems.push(flag(args[at]!.unknown!, `find ${text} ${args[at]!.text}`));
    } else if (/^-(exec|execdir|ok|okdir)$/.test(text)) {
      const end = args.findIndex((arg, index) => index > at && isEnd(args, index, arg));
      const words = args.slice(at + 1, end < 0 ? undefined : end);
      expression.actions.push({ kind: text, words });
      at = end < 0 ? args.length : end;
    } else if (/^-(fprint|fprint0|fls|fprintf)$/.test(text)) {
      expression.actions.push({ kind: 'write', words: args.slice(at + 1, at + 2) });
      at += text === '-fprintf' ? 2 : 1;
    } else if (text === '-delete') expression.actions.push({ kind: text, words: [] });
    else if (!TESTS_ALONE.test(text)) expression.problems.push(flag('unknown_writer', `find ${text}`));
  }
  // A test after an action does not hold for it, so only a single action at the end is narrowed.
  const last = expression.actions.length === 1 && endsWithAction(args);
  if (narrowed && last && names.length === 1) expression.name = namePattern(names[0]!);
  return expression;
}

function endsWithAction(args: readonly Field[]): boolean {
  return /^(;|\+|-delete)$/.test(textOf(args.at(-1)) ?? '');
}

function isEnd(args: readonly Field[], index: number, arg: Field): boolean {
  return textOf(arg) === ';' || (textOf(arg) === '+' && textOf(args[index - 1]) === '{}');
}

/** fnmatch's wildcards as Signalbox's; a class is left out, so that the name narrows nothing. */
function namePattern(name: string): string | undefined {
  if (/[[\\/]/.test(name) || /\*\*/.test(name)) return undefined;
  return name.replace(/[^*?]+/g, (text) => escapePattern(text));
}

function act(action: Expression['actions'][number], root: Field, name: string | undefined): Outcome[] {
  if (action.kind === 'write') return edits(action.words, 'find -fprint');
  if (root.unknown !== undefined) return [flag(root.unknown, `find ${root.text} ${action.kind}`)];
  const all = name === undefined ? '**' : `**/${name}`;
  const found: Field = { text: `${root.text}/…`, pattern: `${patternOf(root).replace(/\/+$/, '')}/${all}` };
  const results = startIsFound(root, name) ? [root, found] : [found];
  if (action.kind === '-delete') return results.flatMap((result) => deletes([result], 'find -delete'));
  return results.flatMap((result): Outcome[] => {
    const place = action.kind.endsWith('dir') ? undefined : result;
    const words = action.words.map((word) => replaceMarker(word, place));
    return [{ do: 'run', words }];
  });
}

/** The start itself is found too, unless its name is not the one asked for; `.` is never deleted. */
function startIsFound(root: Field, name: string | undefined): boolean {
  const text = textOf(root);
  if (text === '.' && name === undefined) return false;
  if (text === undefined || name === undefined) return true;
  const base = text.replace(/\/+$/, '').split('/').at(-1) ?? '';
  const source = name.replace(/\\(.)|([.+^$()|])|(\*)|(\?)/g, (_, escaped?: string, plain?: string, star?: string) =>
    star ? '.*' : (escaped ?? plain) ? `\\${escaped ?? plain}` : '.',
  );
  return new RegExp(`^${source}$`, 's').test(base);
}

/** `{}` in a word of `-exec` as what is found; with `-execdir` it is a name in an unknown directory. */
function replaceMarker(word: Field, found: Field | undefined): Field {
  const at = word.text.indexOf('{}');
  if (at < 0 || word.unknown !== undefined) return word;
  if (found === undefined) return { text: word.text, unknown: 'dynamic_cd', prefix: word.text.slice(0, at) || './' };
  if (word.text.indexOf('{}', at + 1) >= 0) return { text: word.text, unknown: 'glob', prefix: '' };
  return concat(concat(literal(word.text.slice(0, at)), found), literal(word.text.slice(at + 2)));
}

export const FIND: ReadonlyArray<readonly [string, Handler]> = [
  ['find', find],
  ['gfind', find],
];
