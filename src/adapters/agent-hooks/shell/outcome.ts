import type { Field } from './field.ts';
import type { FlagCode, GitAction } from './model.ts';

/** What a program does with its arguments, as a pure handler says it; the caller resolves paths and scripts. */
export type Outcome =
  | {
      readonly do: 'edit' | 'delete';
      readonly target: Field;
      readonly by: string;
      readonly recursive?: boolean;
    }
  | { readonly do: 'flag'; readonly code: FlagCode; readonly detail: string }
  /** Another program is run with these words; `directory` if it is started elsewhere. */
  | { readonly do: 'run'; readonly words: readonly Field[]; readonly directory?: Field }
  /** A shell script is run in a shell of its own, with these as `$1 …`. */
  | { readonly do: 'script'; readonly text: string; readonly positional: readonly Field[] }
  | { readonly do: 'git'; readonly action: Omit<GitAction, 'directory'>; readonly directory: Field };

/** One call of a program. */
export interface Call {
  readonly name: string;
  readonly args: readonly Field[];
  /** The literal text on standard input, from a here-document; undefined if not known. */
  readonly stdin: string | undefined;
}

export type Handler = (call: Call) => readonly Outcome[];

export function flag(code: FlagCode, detail: string): Outcome {
  return { do: 'flag', code, detail };
}

export function edits(targets: readonly Field[], by: string, recursive = false): Outcome[] {
  return targets.map((target) => ({ do: 'edit', target, by, recursive }));
}

export function deletes(targets: readonly Field[], by: string, recursive = false): Outcome[] {
  return targets.map((target) => ({ do: 'delete', target, by, recursive }));
}
