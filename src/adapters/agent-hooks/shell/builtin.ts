import type { Field } from './field.ts';
import type { Exit, Runner, Words } from './runner.ts';
import type { Scope } from './scope.ts';

/** One call of a builtin, which may change the shell's state. */
export interface BuiltinCall extends Runner {
  readonly scope: Scope;
  readonly name: string;
  readonly args: readonly Field[];
  readonly stdin: string | undefined;
  /** What runs other words or another text; handed in, since it is what looks builtins up. */
  readonly dispatch: (runner: Runner, scope: Scope, words: Words) => Exit;
  readonly runText: (runner: Runner, scope: Scope, text: string) => Exit;
}

/** Undefined: nothing more to do than for the program of the same name. */
export type Builtin = (call: BuiltinCall) => Exit | undefined;

/** The shell goes on as it is. */
export function stay({ scope }: BuiltinCall): Exit {
  return { ok: scope, fail: scope };
}
