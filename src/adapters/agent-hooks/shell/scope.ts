import type { Function as FunctionNode } from 'unbash';
import type { Field } from './field.ts';
import type { FlagCode } from './model.ts';
import { LIMITS } from './model.ts';

/** What is known of a variable. `opaque` is unknown for good: an assignment does not make it known again. */
export type Value =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'pattern'; readonly text: string; readonly pattern: string }
  | { readonly kind: 'integer' }
  | { readonly kind: 'unknown'; readonly code: FlagCode }
  | { readonly kind: 'opaque' };

export const UNKNOWN: Value = { kind: 'unknown', code: 'variable' };

/** Variables that bash itself sets, reads specially, or refuses to set. */
const SPECIAL =
  /^(_|RANDOM|SRANDOM|SECONDS|LINENO|BASH.*|EPOCH.*|FUNCNAME|GROUPS|E?UID|PPID|DIRSTACK|HIST.*|COMP_.*|OPT.*|REPLY|PWD|OLDPWD|PIPESTATUS|MAPFILE|COPROC)$/;

/** The state of one shell at one point: where it is and what it knows. */
export class Scope {
  /** Every directory that the shell may be in; undefined if not known. */
  directories: readonly string[] | undefined;
  variables = new Map<string, Value>();
  /** A name with undefined may or may not be a function here. */
  functions = new Map<string, FunctionNode | undefined>();
  /** `$1 …`; undefined if not known. */
  positional: readonly Field[] | undefined;

  constructor(directories: readonly string[] | undefined) {
    this.directories = directories;
  }

  clone(): Scope {
    const copy = new Scope(this.directories);
    copy.variables = new Map(this.variables);
    copy.functions = new Map(this.functions);
    copy.positional = this.positional;
    return copy;
  }

  /** The value of a variable; one that was never assigned here comes from the environment and is unknown. */
  lookup(name: string): Value {
    return this.variables.get(name) ?? UNKNOWN;
  }

  assign(name: string, value: Value): void {
    if (this.variables.get(name)?.kind === 'opaque') return;
    this.variables.set(name, SPECIAL.test(name) ? { kind: 'opaque' } : value);
  }

  /** Forgets the value of a variable for good. */
  hide(name: string): void {
    this.variables.set(name, { kind: 'opaque' });
  }
}

/** What a piece of script may have changed, gathered while it is evaluated. */
export interface Trace {
  /** The variables assigned, and whether only ever numbers. */
  readonly names: Map<string, { integer: boolean }>;
  readonly functions: Set<string>;
  /** Names declared local to the function that runs. */
  readonly locals: Set<string>;
  moved: boolean;
  /** A `break`, `continue` or `return` may have left the piece before its end. */
  jumped: boolean;
  /** The positional parameters were changed. */
  shifted: boolean;
}

export function newTrace(): Trace {
  return { names: new Map(), functions: new Set(), locals: new Set(), moved: false, jumped: false, shifted: false };
}

/** Forgets everything that the traced piece may have changed. */
export function forget(scope: Scope, trace: Trace): void {
  for (const [name, { integer }] of trace.names) {
    scope.assign(name, integer && isInteger(scope.lookup(name)) ? { kind: 'integer' } : UNKNOWN);
  }
  for (const name of trace.functions) scope.functions.set(name, undefined);
  if (trace.moved) scope.directories = undefined;
  if (trace.shifted) scope.positional = undefined;
}

/** The state of a shell that is in one of two states; undefined means that this way is never taken. */
export function join(left: Scope | undefined, right: Scope | undefined): Scope | undefined {
  if (left === undefined || left === right) return right;
  if (right === undefined) return left;
  const joined = new Scope(joinDirectories(left.directories, right.directories));
  for (const name of new Set([...left.variables.keys(), ...right.variables.keys()])) {
    joined.variables.set(name, joinValues(left.lookup(name), right.lookup(name)));
  }
  for (const name of new Set([...left.functions.keys(), ...right.functions.keys()])) {
    const [a, b] = [left.functions.get(name), right.functions.get(name)];
    joined.functions.set(name, a === b ? a : undefined);
  }
  joined.positional = left.positional === right.positional ? left.positional : undefined;
  return joined;
}

function joinValues(left: Value, right: Value): Value {
  if (left === right) return left;
  if (left.kind === 'opaque' || right.kind === 'opaque') return { kind: 'opaque' };
  if (left.kind === 'text' && right.kind === 'text' && left.text === right.text) return left;
  if (isInteger(left) && isInteger(right)) return { kind: 'integer' };
  return left.kind === 'unknown' ? left : UNKNOWN;
}

/** Whether the value is certainly a plain number, so that arithmetic on it cannot run anything. */
export function isInteger(value: Value): boolean {
  return value.kind === 'integer' || (value.kind === 'text' && /^-?[0-9]+$/.test(value.text));
}

function joinDirectories(
  left: readonly string[] | undefined,
  right: readonly string[] | undefined,
): readonly string[] | undefined {
  if (left === undefined || right === undefined) return undefined;
  const all = [...new Set([...left, ...right])];
  return all.length > LIMITS.directories ? undefined : all;
}
