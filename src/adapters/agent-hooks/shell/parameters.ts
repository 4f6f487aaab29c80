import type { ParameterExpansionPart, WordPart } from 'unbash';
import { arithmetic } from './arithmetic.ts';
import type { Scope, Value } from './scope.ts';
import { UNKNOWN } from './scope.ts';
import type { Session } from './session.ts';

/** `$x` or `${x…}`. */
export type ParameterPart = Extract<WordPart, { type: 'SimpleExpansion' | 'ParameterExpansion' }>;

/** Whether the part is the plain value, `$x` or `${x}`. */
export function isBare(part: ParameterPart): boolean {
  return part.type === 'SimpleExpansion' || (part.operation === undefined && part.prefix === undefined && !part.index);
}

/** What is known of the value of `$name`, or of `${name…}`. */
export function parameterValue(scope: Scope, part: ParameterPart, name: string): Value {
  if (part.type === 'ParameterExpansion' && !isBare(part)) {
    if (part.prefix === '#') return { kind: 'integer' };
    const value = part.prefix === undefined && part.index === undefined ? scope.lookup(name) : UNKNOWN;
    // The default is not taken when the value is known and not empty.
    const usesValue =
      part.operation?.type === 'Default' && ['-', ':-', '=', ':=', '?', ':?'].includes(part.operation.operator);
    return usesValue && value.kind === 'text' && value.text !== '' ? value : UNKNOWN;
  }
  if (/^[0-9]+$/.test(name)) return positionalValue(scope, Number(name));
  if (name === 'PWD') return scope.variables.has('PWD') ? UNKNOWN : workingDirectory(scope);
  if (/^[#?$!]$/.test(name) || name === 'RANDOM') return scope.variables.has(name) ? UNKNOWN : { kind: 'integer' };
  return scope.lookup(name);
}

function positionalValue(scope: Scope, index: number): Value {
  const field = index === 0 ? undefined : scope.positional?.[index - 1];
  // After a wildcard nobody knows which parameter is which.
  const counted = scope.positional?.slice(0, index - 1).every((other) => other.pattern === undefined);
  if (field === undefined || counted !== true) return UNKNOWN;
  if (field.unknown !== undefined) return { kind: 'unknown', code: field.unknown };
  if (field.pattern !== undefined) return { kind: 'pattern', text: field.text, pattern: field.pattern };
  return { kind: 'text', text: field.text };
}

/** What a parameter expansion does besides giving a value: `:=` assigns, a slice and a subscript are arithmetic. */
export function judgeParameter(session: Session, scope: Scope, part: ParameterExpansionPart): void {
  const { operation, index, prefix, parameter } = part;
  if (operation?.type === 'Default' && operation.operator.includes('=')) session.assign(scope, parameter, UNKNOWN);
  if (operation?.type === 'Slice') {
    arithmetic(session, scope, operation.offset.text);
    if (operation.length !== undefined) arithmetic(session, scope, operation.length.text);
  }
  if (operation?.type === 'Unknown') session.flag('eval', part.text);
  // `${x@P}` runs what a prompt may run.
  if (operation?.type === 'Transform' && operation.operand.text === 'P') session.flag('eval', part.text);
  if (index !== undefined && index.text !== '@' && index.text !== '*') arithmetic(session, scope, index.text);
  if (prefix === '!' && operation?.type !== 'Names' && index === undefined) {
    const target = scope.lookup(parameter);
    if (target.kind !== 'text' || !/^\w+$/.test(target.text)) session.flag('eval', part.text);
  }
}

/** The directory that the shell is in, if there is only one possibility. */
export function workingDirectory(scope: Scope): Value {
  const { directories } = scope;
  return directories?.length === 1 ? { kind: 'text', text: directories[0]! } : UNKNOWN;
}
