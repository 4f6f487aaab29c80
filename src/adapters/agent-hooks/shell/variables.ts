import { arithmetic } from './arithmetic.ts';
import type { BuiltinCall } from './builtin.ts';
import { stay } from './builtin.ts';
import { governs } from './environment.ts';
import type { Field } from './field.ts';
import { literal, textOf } from './field.ts';
import { LIMITS } from './model.ts';
import type { Exit } from './runner.ts';
import { UNKNOWN } from './scope.ts';

const NAME = /^[A-Za-z_]\w*$/;

/** `declare`, `export`, `local`: plain values are kept, every attribute that changes values hides the name. */
export function declare(call: BuiltinCall): Exit {
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
  // Outside of a function `local` is refused.
  const taken = given && arg.unknown === undefined && (builtin !== 'local' || session.calls.length > 0);
  const text = taken ? arg.text.slice(name.length + 1) : undefined;
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
export function readNames(call: BuiltinCall): Exit {
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

export function unset(call: BuiltinCall): Exit {
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

export function printFormatted(call: BuiltinCall): undefined {
  const first = call.args[0];
  if (first?.unknown !== undefined && (first.loose || first.prefix === '')) {
    call.session.flag(first.unknown, `printf ${first.text}`);
  }
  const option = textOf(first);
  if (option?.startsWith('-v')) assignNames(call, option === '-v' ? call.args.slice(1, 2) : [literal(option.slice(2))]);
  return undefined;
}

export function letExpressions(call: BuiltinCall): Exit {
  for (const arg of call.args.slice(0, LIMITS.loopTurns)) {
    const text = textOf(arg);
    if (text === undefined) call.session.flag('arithmetic', `let ${arg.text}`);
    else arithmetic(call.session, call.scope, text);
  }
  return stay(call);
}

export function getOptions(call: BuiltinCall): Exit {
  assignNames(call, call.args.slice(1, 2));
  return stay(call);
}
