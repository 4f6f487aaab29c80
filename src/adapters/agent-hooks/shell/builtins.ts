import { arithmetic } from './arithmetic.ts';
import type { Runner, Words } from './dispatch.ts';
import { dispatch, runText } from './dispatch.ts';
import { governs } from './environment.ts';
import type { Field } from './field.ts';
import { literal, mayBeOption, textOf } from './field.ts';
import { LIMITS } from './model.ts';
import type { Scope } from './scope.ts';
import { UNKNOWN } from './scope.ts';
import { resolveDirectories } from './settle.ts';
import type { Exit } from './walk.ts';

export interface BuiltinCall extends Runner {
  readonly scope: Scope;
  readonly name: string;
  readonly args: readonly Field[];
  readonly stdin: string | undefined;
}

/** Undefined: nothing more to do than for the program of the same name. */
type Builtin = (call: BuiltinCall) => Exit | undefined;

const NAME = /^[A-Za-z_]\w*$/;

function stay({ scope }: BuiltinCall): Exit {
  return { ok: scope, fail: scope };
}

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

/** `declare`, `export`, `local`: plain values are kept, every attribute that changes values hides the name. */
function declare(call: BuiltinCall): Exit {
  const { session, name: builtin } = call;
  const letters = call.args.map((arg) => /^[-+]([A-Za-z]+)$/.exec(textOf(arg) ?? '')?.[1] ?? '').join('');
  const exports = builtin === 'export';
  if (/[fF]/.test(letters) && (exports || letters.includes('x'))) session.flag('eval', `${builtin} -f`);
  if (letters.includes('n') && !exports) session.flag('eval', `${builtin} -n`);
  const hidden = builtin === 'readonly' || /[ilucaAnrt]/.test(exports ? letters.replaceAll('n', '') : letters);
  for (const arg of call.args) {
    const start = arg.unknown === undefined ? arg.text : (arg.prefix ?? '');
    if (/^[-+]/.test(start)) continue;
    const name = /^[A-Za-z_]\w*(?==|$)/.exec(start)?.[0];
    const given = start.includes('=');
    if (name === undefined || (arg.unknown !== undefined && !given)) {
      session.flag(arg.unknown ?? 'eval', `${builtin} ${arg.text}`);
    } else declareName(call, arg, name, given, hidden);
  }
  return stay(call);
}

function declareName(call: BuiltinCall, arg: Field, name: string, given: boolean, hidden: boolean): void {
  const { session, scope, name: builtin } = call;
  if (/^(local|declare|typeset)$/.test(builtin)) session.note((trace) => trace.locals.add(name));
  const text = given && arg.unknown === undefined ? arg.text.slice(name.length + 1) : undefined;
  const value = text === undefined ? UNKNOWN : ({ kind: 'text', text } as const);
  if (given && governs(name, value)) session.flag('environment', arg.text);
  if (hidden) session.hide(scope, name);
  else if (given || builtin !== 'export') session.assign(scope, name, value);
}

function assignNames(call: BuiltinCall, names: readonly Field[]): void {
  const { session, scope } = call;
  for (const field of names) {
    const name = textOf(field);
    if (name === undefined) session.flag(field.unknown ?? 'glob', `${call.name} ${field.text}`);
    else if (!NAME.test(name)) session.flag('eval', `${call.name} ${name}`);
    else {
      session.assign(scope, name, UNKNOWN);
      if (governs(name, UNKNOWN)) session.flag('environment', `${call.name} ${name}`);
    }
  }
}

/** Options of `read` and `mapfile` that have a value; that of `-a` is a name. */
function readNames(call: BuiltinCall): Exit {
  const valued = call.name === 'read' ? 'adinNptu' : 'dnOsucC';
  const names: Field[] = [];
  for (let at = 0; at < call.args.length; at++) {
    const arg = call.args[at]!;
    const option = /^-([A-Za-z]+)(.*)$/s.exec(textOf(arg) ?? '');
    if (option === null) {
      if (textOf(arg) !== '--') names.push(arg);
      continue;
    }
    const letters = option[1]!;
    const letter = [...letters].find((one) => valued.includes(one));
    if (letter === undefined) continue;
    const attached = (textOf(arg) ?? '').slice(1 + letters.indexOf(letter) + 1);
    const value = attached === '' ? call.args[++at] : literal(attached);
    if (letter === 'a' && value !== undefined) names.push(value);
    if (letter === 'C') call.session.flag('eval', 'mapfile -C');
  }
  assignNames(call, names);
  return stay(call);
}

function unset(call: BuiltinCall): Exit {
  const { session, scope } = call;
  for (const arg of call.args) {
    const name = textOf(arg);
    if (name !== undefined && scope.functions.has(name)) {
      scope.functions.set(name, undefined);
      session.note((trace) => trace.functions.add(name));
    }
  }
  assignNames(
    call,
    call.args.filter((arg) => !/^-[fv]$/.test(textOf(arg) ?? '')),
  );
  return stay(call);
}

function printFormatted(call: BuiltinCall): undefined {
  const first = call.args[0];
  if (first?.unknown !== undefined && (first.loose || first.prefix === '')) {
    call.session.flag(first.unknown, `printf ${first.text}`);
  }
  const option = textOf(first);
  if (option?.startsWith('-v')) assignNames(call, option === '-v' ? call.args.slice(1, 2) : [literal(option.slice(2))]);
  return undefined;
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
    exit = runText({ ...call, bare: false }, scope, texts.join(' '));
  });
  return exit;
}

function trap(call: BuiltinCall): Exit {
  const operands = call.args.filter((arg) => textOf(arg) !== '--');
  const action = textOf(operands[0]);
  if (operands.length < 2 || action === '' || action === '-' || action === '-l' || action === '-p') return stay(call);
  call.session.flag('eval', 'trap');
  if (action !== undefined) call.session.nested(() => void runText(call, call.scope.clone(), action));
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
    exit = dispatch({ ...call, bare: true }, call.scope, words);
  });
  return exit;
}

function letExpressions(call: BuiltinCall): Exit {
  for (const arg of call.args.slice(0, LIMITS.loopTurns)) {
    const text = textOf(arg);
    if (text === undefined) call.session.flag('arithmetic', `let ${arg.text}`);
    else arithmetic(call.session, call.scope, text);
  }
  return stay(call);
}

function getOptions(call: BuiltinCall): Exit {
  assignNames(call, call.args.slice(1, 2));
  return stay(call);
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
