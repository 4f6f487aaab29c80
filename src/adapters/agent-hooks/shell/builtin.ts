import type { Runner } from './dispatch.ts';
import type { Field } from './field.ts';
import type { Scope } from './scope.ts';
import type { Exit } from './walk.ts';

/** One call of a builtin, which may change the shell's state. */
export interface BuiltinCall extends Runner {
  readonly scope: Scope;
  readonly name: string;
  readonly args: readonly Field[];
  readonly stdin: string | undefined;
}

/** Undefined: nothing more to do than for the program of the same name. */
export type Builtin = (call: BuiltinCall) => Exit | undefined;

/** The shell goes on as it is. */
export function stay({ scope }: BuiltinCall): Exit {
  return { ok: scope, fail: scope };
}
