import type { Builtin, BuiltinCall } from './builtin.ts';
import { stay } from './builtin.ts';
import type { Field } from './field.ts';
import { literal, mayBeOption, textOf } from './field.ts';
import type { Exit, Words } from './runner.ts';
import { resolveDirectories } from './settle.ts';
import { declare, getOptions, letExpressions, printFormatted, readNames, unset } from './variables.ts';

const NAME = /^[A-Za-z_]\w*$/;

function changeDirectory(call: BuiltinCall): Exit {
  const { session, scope } = call;
  const operands = call.args.filter(
    (arg, at) => !isCdOption(arg) || call.args.slice(0, at).some((a) => textOf(a) === '--'),
  );
  session.note((trace) => {
    trace.moved = true;
  });
  const moved = scope.clone();
  const home = scope.lookup('HOME');
  const target = operands[0] ?? (home.kind === 'text' && call.name === 'cd' ? literal(home.text) : undefined);
  const certain =
    target !== undefined && operands.length <= 1 && textOf(target) !== '-' && !/^[-+]\d+$/.test(target.text);
  moved.directories = certain ? resolveDirectories(scope, target) : undefined;
  return { ok: moved, fail: scope };
}

function isCdOption(arg: Field): boolean {
  return /^-([LPe@]+|-)$/.test(textOf(arg) ?? '');
}

function popDirectory(call: BuiltinCall): Exit {
  call.session.note((trace) => {
    trace.moved = true;
  });
  const moved = call.scope.clone();
  moved.directories = undefined;
  return { ok: moved, fail: call.scope };
}

/** Never comes back, but only where it cannot be refused for its arguments. */
function exitShell(call: BuiltinCall): Exit {
  const status = call.args[0] === undefined ? '0' : textOf(call.args[0]);
  const certain = call.args.length <= 1 && status !== undefined && /^\d+$/.test(status);
  return certain ? { ok: undefined, fail: undefined } : stay(call);
}

function jump(call: BuiltinCall): Exit {
  call.session.note((trace) => {
    trace.jumped = true;
  });
  return stay(call);
}

/** `test -v` evaluates a subscript; unquoted text of unknown content could bring one in. */
function test(call: BuiltinCall): undefined {
  for (const [at, arg] of call.args.entries()) {
    const open = arg.loose === true || (arg.pattern !== undefined && mayBeOption(arg));
    if (open) call.session.flag('arithmetic', `${call.name} ${arg.text}`);
    if (!/^-[vR]$/.test(textOf(arg) ?? '')) continue;
    const operand = call.args[at + 1];
    if (operand !== undefined && !NAME.test(textOf(operand) ?? ''))
      call.session.flag('arithmetic', `test -v ${operand.text}`);
  }
  return undefined;
}

function evaluate(call: BuiltinCall): Exit {
  const { session, scope, args } = call;
  const texts = args.map(textOf);
  if (texts.some((text) => text === undefined)) {
    session.flag('eval', `eval ${args.map((arg) => arg.text).join(' ')}`);
    return stay(call);
  }
  let exit = stay(call);
  session.nested(() => {
    exit = call.runText({ ...call, bare: false }, scope, texts.join(' '));
  });
  return exit;
}

function trap(call: BuiltinCall): Exit {
  const operands = call.args.filter((arg) => textOf(arg) !== '--');
  const action = textOf(operands[0]);
  if (operands.length < 2 || action === '' || action === '-' || action === '-l' || action === '-p') return stay(call);
  call.session.flag('eval', 'trap');
  if (action !== undefined) call.session.nested(() => void call.runText(call, call.scope.clone(), action));
  return stay(call);
}

const SET_OPTION = /^[-+][abeEfhHmnPTuvxC]+$/;
const SET_NAMES = /^(errexit|nounset|pipefail|xtrace|verbose|noclobber|allexport|noglob|monitor|notify)$/;

function setOptions(call: BuiltinCall): Exit {
  const { session, scope, args } = call;
  for (let at = 0; at < args.length; at++) {
    const text = textOf(args[at]);
    if (text !== undefined && SET_OPTION.test(text)) continue;
    if (text !== undefined && /^[-+][abeEfhHmnPTuvxC]*o$/.test(text)) {
      const name = textOf(args[++at]);
      if (args[at] !== undefined && !SET_NAMES.test(name ?? ''))
        session.flag('environment', `set ${text} ${args[at]!.text}`);
      continue;
    }
    const operands = text === '--' ? args.slice(at + 1) : args.slice(at);
    if (text !== '--' && !/^[\w./]/.test(text ?? '-')) session.flag('environment', `set ${args[at]!.text}`);
    session.note((trace) => {
      trace.shifted = true;
    });
    scope.positional = operands.some((field) => field.loose) ? undefined : operands;
    break;
  }
  return stay(call);
}

function shift(call: BuiltinCall): Exit {
  call.session.note((trace) => {
    trace.shifted = true;
  });
  const count = Number(call.args[0] === undefined ? '1' : (textOf(call.args[0]) ?? 'x'));
  const { positional } = call.scope;
  const exact = Number.isInteger(count) && count >= 0 && positional !== undefined && count <= positional.length;
  const counted = exact && positional.every((field) => field.pattern === undefined);
  call.scope.positional = counted ? positional.slice(count) : undefined;
  return stay(call);
}

function shellOptions(call: BuiltinCall): Exit {
  const harmless = /^(-[supqo]+|failglob|inherit_errexit|globstar|lastpipe|checkwinsize|nocasematch)$/;
  for (const arg of call.args)
    if (!harmless.test(textOf(arg) ?? '')) call.session.flag('environment', `shopt ${arg.text}`);
  return stay(call);
}

function flagged(code: 'eval' | 'environment'): Builtin {
  return (call) => {
    if (call.args.length > 0) call.session.flag(code, `${call.name} ${call.args[0]!.text}`);
    return stay(call);
  };
}

/** `command`, `builtin`, `exec`: the words after the options, past any function of that name. */
function runWords(call: BuiltinCall): Exit {
  const { session } = call;
  let at = 0;
  for (; at < call.args.length; at++) {
    const text = textOf(call.args[at]) ?? '';
    if (call.name === 'command' && /^-[pvV]*[vV][pvV]*$/.test(text)) return stay(call);
    if (call.name === 'exec' && text === '-a') at += 1;
    else if (text === '--') {
      at += 1;
      break;
    } else if (!/^-[pcl]+$/.test(text)) break;
  }
  const words: Words = { words: call.args.slice(at), stdin: call.stdin };
  let exit = stay(call);
  session.nested(() => {
    exit = call.dispatch({ ...call, bare: true }, call.scope, words);
  });
  return exit;
}

/** The builtins that change the shell's own state; the others behave as the programs of their names. */
export const BUILTINS: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ['cd', changeDirectory],
  ['pushd', changeDirectory],
  ['popd', popDirectory],
  ['exit', exitShell],
  ['return', jump],
  ['break', jump],
  ['continue', jump],
  ['declare', declare],
  ['typeset', declare],
  ['local', declare],
  ['export', declare],
  ['readonly', declare],
  ['unset', unset],
  ['read', readNames],
  ['mapfile', readNames],
  ['readarray', readNames],
  ['getopts', getOptions],
  ['printf', printFormatted],
  ['test', test],
  ['[', test],
  ['let', letExpressions],
  ['set', setOptions],
  ['shift', shift],
  ['shopt', shellOptions],
  ['setopt', flagged('environment')],
  ['unsetopt', flagged('environment')],
  ['eval', evaluate],
  ['source', flagged('eval')],
  ['.', flagged('eval')],
  ['trap', trap],
  ['alias', flagged('eval')],
  ['hash', flagged('environment')],
  ['enable', flagged('environment')],
  ['exec', runWords],
  ['command', runWords],
  ['builtin', runWords],
]);
