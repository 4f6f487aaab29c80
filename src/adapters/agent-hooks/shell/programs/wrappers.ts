import type { OptionSpec } from '../args.ts';
import { parseArgs, uncounted } from '../args.ts';
import { governs } from '../environment.ts';
import type { Field } from '../field.ts';
import { literal, textOf, unknownField } from '../field.ts';
import type { Call, Handler, Outcome } from '../outcome.ts';
import { edits, flag } from '../outcome.ts';

/** A program that runs its operands, after skipping some of them. */
function wrapper(spec: OptionSpec, skipped = 0): Handler {
  return (call) => {
    const { operands, problems } = parseArgs(call, { ...spec, stopAtOperand: true });
    const words = operands.slice(skipped);
    const counted = [...problems, ...uncounted(call, operands.slice(0, skipped))];
    return words.length === 0 ? counted : [...counted, { do: 'run', words }];
  };
}

/** The leading `NAME=value` words of `env` and `sudo`, judged, and the rest. */
function splitAssignments(call: Call, words: readonly Field[]): { rest: readonly Field[]; problems: Outcome[] } {
  const problems: Outcome[] = [];
  let at = 0;
  for (; at < words.length; at++) {
    const field = words[at]!;
    const start = field.unknown === undefined ? field.text : (field.prefix ?? '');
    const name = /^([^=/-][^=/]*)=/.exec(start)?.[1];
    if (name === undefined) break;
    const value = field.unknown === undefined ? field.text.slice(name.length + 1) : undefined;
    const known = value === undefined ? ({ kind: 'opaque' } as const) : ({ kind: 'text', text: value } as const);
    if (governs(name, known)) problems.push(flag('environment', `${call.name} ${field.text}`));
  }
  return { rest: words.slice(at), problems };
}

const ENV: OptionSpec = {
  flags: 'i0v',
  valued: 'uC',
  long: ['ignore-environment', 'null', 'debug'],
  longValued: ['unset', 'chdir'],
  stopAtOperand: true,
};

const env: Handler = (call) => {
  const { operands, problems, values } = parseArgs(call, ENV);
  const { rest, problems: settings } = splitAssignments(call, operands);
  const [directory] = values('C', 'chdir');
  const all = [...problems, ...settings];
  if (rest.length === 0) return all;
  return [...all, directory === undefined ? { do: 'run', words: rest } : { do: 'run', words: rest, directory }];
};

const SUDO: OptionSpec = {
  flags: 'AbEHknPSv',
  valued: 'CghpTuUD',
  long: ['preserve-env', 'set-home', 'non-interactive'],
  longValued: ['user', 'group', 'chdir'],
  stopAtOperand: true,
};

const sudo: Handler = (call) => {
  const { operands, problems, values, has } = parseArgs(call, SUDO);
  const { rest, problems: settings } = splitAssignments(call, operands);
  const [directory] = values('D', 'chdir');
  const background = has('b') ? [flag('background', 'sudo -b')] : [];
  const all = [...problems, ...settings, ...background];
  if (rest.length === 0) return all;
  return [...all, directory === undefined ? { do: 'run', words: rest } : { do: 'run', words: rest, directory }];
};

const TIME: OptionSpec = {
  flags: 'apqv',
  valued: 'of',
  long: ['portability', 'verbose', 'append', 'quiet'],
  longValued: ['output', 'format'],
  stopAtOperand: true,
};

const time: Handler = (call) => {
  const { operands, problems, values } = parseArgs(call, TIME);
  const written = edits(values('o', 'output'), 'time -o');
  return [...problems, ...written, ...(operands.length > 0 ? [{ do: 'run', words: operands } as const] : [])];
};

const XARGS: OptionSpec = {
  flags: '0rtxpo',
  valued: 'adEIJLnPsS',
  attached: 'eil',
  long: ['null', 'no-run-if-empty', 'verbose', 'exit', 'interactive'],
  longValued: ['arg-file', 'delimiter', 'max-args', 'max-chars', 'max-procs', 'max-lines', 'process-slot-var'],
  longAttached: ['replace'],
  stopAtOperand: true,
};

/** The words that xargs adds come from its input, so they are unknown wherever they matter. */
const xargs: Handler = (call) => {
  const { operands, problems, values, has } = parseArgs(call, XARGS);
  const words = operands.length === 0 ? [literal('echo')] : operands;
  const given = [...values('I'), ...values('J')].map((field) => textOf(field) ?? '{}');
  const marker = given[0] ?? (has('i', 'replace') ? textOf(values('i', 'replace')[0]) || '{}' : undefined);
  if (marker === undefined) {
    return [...problems, { do: 'run', words: [...words, unknownField('stdin', '(stdin)', '', true)] }];
  }
  const replaced = words.map((word) => {
    const at = word.text.indexOf(marker);
    return at < 0 || word.unknown !== undefined ? word : unknownField('stdin', word.text, word.text.slice(0, at));
  });
  // BSD's -J puts several words where the marker stood.
  const loose =
    values('J').length > 0
      ? replaced.map((word) => (word.unknown ? { ...word, loose: true as const } : word))
      : replaced;
  return [...problems, { do: 'run', words: loose }];
};

/** `flock file command` creates the file. */
const flock: Handler = (call) => {
  const { operands, problems } = parseArgs(call, { flags: 'esxnuoFv', valued: 'wE', stopAtOperand: true });
  const [lock, ...words] = operands;
  if (lock === undefined) return problems;
  if (textOf(words[0]) === '-c') return [...problems, ...edits([lock], 'flock'), shellText(words.slice(1), call)];
  return [...problems, ...uncounted(call, [lock]), ...edits([lock], 'flock'), { do: 'run', words }];
};

function shellText(words: readonly Field[], call: Call): Outcome {
  const text = textOf(words[0]);
  if (text === undefined) return flag(words[0]?.unknown ?? 'interpreter', `${call.name} -c ${words[0]?.text ?? ''}`);
  return { do: 'script', text, positional: words.slice(2) };
}

const SHELL: OptionSpec = {
  flags: 'ceuxvnlif',
  valued: 'oO',
  long: ['login', 'norc', 'noprofile', 'posix'],
  stopAtOperand: true,
};

/** What other shells read otherwise than bash: quotes, braces, classes, assignments, and builtins they lack. */
const BASH_ONLY =
  /\$['"[]|\{[^{}]*(,|\.\.)|\+=|[<>]\(|\[\[|&>|>&[^0-9-]|<<<|\[\^|\(\(|\b(function|declare|typeset|let|pushd|popd|printf\s+-v|readarray|mapfile|shopt|builtin|select|source)\b/;

/** Only POSIX's part of the language means the same in every shell; zsh differs even there. */
function dialect(name: string, text: string): Outcome[] {
  if (name === 'bash' || (name !== 'zsh' && !BASH_ONLY.test(text))) return [];
  return [flag('unparseable', `${name} reads this otherwise than bash`)];
}

/** `bash -c text`, or a script on standard input; a script in a file is another program. */
const shell: Handler = (call) => {
  if (call.args.length === 1 && textOf(call.args[0]) === '--version') return [];
  const { operands, problems, has, values } = parseArgs(call, SHELL);
  const options = values('o', 'O').filter((field) => !/^(pipefail|errexit|nounset|xtrace)$/.test(field.text));
  const starting = has('l', 'i', 'login') ? [flag('environment', `${call.name} reads its startup files`)] : [];
  const all = [
    ...problems,
    ...starting,
    ...options.map((field) => flag('environment', `${call.name} -o ${field.text}`)),
  ];
  if (has('c')) return [...all, ...dialect(call.name, textOf(operands[0]) ?? ''), shellText(operands, call)];
  if (operands.length > 0) return [...all, flag('interpreter', `${call.name} ${operands[0]!.text}`)];
  if (call.stdin === undefined) return [...all, flag('interpreter', `${call.name} reads its script from its input`)];
  return [...all, ...dialect(call.name, call.stdin), { do: 'script', text: call.stdin, positional: [] }];
};

export const WRAPPERS: ReadonlyArray<readonly [string, Handler]> = [
  ['env', env],
  ['sudo', sudo],
  ['doas', wrapper({ flags: 'nLs', valued: 'uC' })],
  ['nice', wrapper({ flags: '0123456789', valued: 'n', longValued: ['adjustment'] })],
  ['ionice', wrapper({ flags: 't', valued: 'cnp' })],
  ['nohup', wrapper({})],
  ['setsid', wrapper({ flags: 'cfw', long: ['wait', 'fork', 'ctty'] })],
  ['stdbuf', wrapper({ valued: 'ioe', longValued: ['input', 'output', 'error'] })],
  [
    'timeout',
    wrapper(
      {
        flags: 'fpv',
        valued: 'ks',
        long: ['foreground', 'preserve-status', 'verbose'],
        longValued: ['kill-after', 'signal'],
      },
      1,
    ),
  ],
  ['gtimeout', wrapper({ flags: 'v', valued: 'ks', long: ['foreground', 'preserve-status'] }, 1)],
  ['caffeinate', wrapper({ flags: 'disu', valued: 'tw' })],
  ['chronic', wrapper({ flags: 'ev' })],
  ['busybox', wrapper({})],
  ['time', time],
  ['gtime', time],
  ['xargs', xargs],
  ['flock', flock],
  ...['bash', 'sh', 'dash', 'zsh', 'ksh'].map((name): [string, Handler] => [name, shell]),
];
