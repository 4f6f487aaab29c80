import type { OptionSpec } from '../args.ts';
import { parseArgs } from '../args.ts';
import type { Field } from '../field.ts';
import { concat, literal, textOf } from '../field.ts';
import type { Call, Handler, Outcome } from '../outcome.ts';
import { edits, flag } from '../outcome.ts';
import { sedWrites } from './sed-script.ts';

const SED: OptionSpec = {
  flags: 'nErsuz',
  valued: 'efl',
  attached: 'i',
  long: ['quiet', 'silent', 'regexp-extended', 'posix', 'separate', 'unbuffered', 'null-data', 'debug', 'sandbox'],
  longValued: ['expression', 'file', 'line-length'],
  longAttached: ['in-place'],
};

const sed: Handler = (call) => {
  const { operands, problems, has, values } = parseArgs(call, SED);
  const scripts = values('e', 'expression');
  const inPlace = has('i', 'in-place');
  // `sed -i '' s/x/y/ file` is the BSD form: the empty word is the suffix there, and a script to GNU.
  const rest = inPlace && textOf(operands[0]) === '' ? operands.slice(1) : operands;
  const [script, files] = scripts.length > 0 || has('f', 'file') ? [scripts, rest] : [rest.slice(0, 1), rest.slice(1)];
  const written = script.flatMap((field) => sedScript(field));
  const fromFile = has('f', 'file') ? [flag('interpreter', 'sed -f')] : [];
  return [...problems, ...fromFile, ...written, ...(inPlace ? inPlaceEdits(files, values('i', 'in-place')) : [])];
};

function sedScript(script: Field): Outcome[] {
  const text = textOf(script);
  if (text === undefined) return [flag(script.unknown ?? 'glob', `sed ${script.text}`)];
  const files = sedWrites(text);
  return files === undefined ? [flag('interpreter', `sed ${text}`)] : edits(files.map(literal), 'sed w');
}

/** A suffix also writes a backup: next to the file, or where a `*` in it says. */
function inPlaceEdits(files: readonly Field[], suffixes: readonly Field[]): Outcome[] {
  const outcomes = edits(files, 'sed -i');
  for (const suffix of suffixes) {
    const text = textOf(suffix);
    if (text === undefined || /[*/]/.test(text))
      outcomes.push(flag(suffix.unknown ?? 'unknown_writer', `sed -i ${suffix.text}`));
    else if (text !== '')
      outcomes.push(
        ...edits(
          files.map((file) => concat(file, literal(text))),
          'sed -i',
        ),
      );
  }
  return outcomes;
}

const AWK: OptionSpec = {
  valued: 'Fv',
  long: ['posix', 'csv', 'traditional'],
  longValued: ['field-separator', 'assign'],
  stopAtOperand: true,
};

/** A program that prints nowhere but to its output, and runs nothing. */
const awk: Handler = (call) => {
  const { operands, problems } = parseArgs(call, AWK);
  const [program] = operands;
  if (program === undefined) return problems;
  const text = textOf(program);
  if (text === undefined) return [...problems, flag(program.unknown ?? 'glob', `${call.name} ${program.text}`)];
  const print = text.indexOf('print');
  const redirects = print >= 0 && text.indexOf('>', print) >= 0;
  const runs = /system|@|\|(?!\|)/.test(text.replaceAll('||', ''));
  return redirects || runs ? [...problems, flag('interpreter', `${call.name} ${text}`)] : problems;
};

/** `perl -i -pe …`: the files are known, what else the code does is not. */
const perl: Handler = (call) => {
  const asked = onlyAsksVersion(call);
  if (asked) return [];
  const outcomes: Outcome[] = [flag('interpreter', `${call.name} ${call.args[0]?.text ?? ''}`.trim())];
  const options = call.args.filter((arg) => arg.text.startsWith('-'));
  const inPlace = options.some((arg) => /^-[a-zA-Z0]*i/.test(arg.text));
  const code = call.args.findIndex((arg) => /^-[a-zA-Z0]*[eE]$/.test(arg.text));
  if (!inPlace || code < 0) return outcomes;
  const files = call.args.slice(code + 2).filter((arg) => !arg.text.startsWith('-'));
  return [...outcomes, ...edits(files, `${call.name} -i`)];
};

export function onlyAsksVersion({ args }: Call): boolean {
  return args.length === 1 && /^(--?version|-[vV]|--?help|version)$/.test(textOf(args[0]) ?? '');
}

/** An editor driven by a script can write anything; at least the files named are edited. */
const editor: Handler = (call) => {
  if (onlyAsksVersion(call)) return [];
  const files = call.args.filter((arg) => arg.unknown === undefined && !/^[-+]/.test(arg.text));
  return [flag('interpreter', call.name), ...edits(files, call.name)];
};

export const EDITORS: ReadonlyArray<readonly [string, Handler]> = [
  ['sed', sed],
  ['gsed', sed],
  ['awk', awk],
  ['gawk', awk],
  ['mawk', awk],
  ['nawk', awk],
  ['perl', perl],
  ['ruby', perl],
  ...['ed', 'ex', 'vi', 'vim', 'nvim', 'nano', 'emacs', 'code', 'red'].map((name): [string, Handler] => [name, editor]),
];
