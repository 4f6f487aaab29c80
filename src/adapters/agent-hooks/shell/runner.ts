import type { SyntaxNode } from 'unbash';
import type { Field } from './field.ts';
import type { Scope } from './scope.ts';
import type { Session } from './session.ts';

/** The state after a command that succeeded and after one that failed; undefined if it never ends that way. */
export interface Exit {
  readonly ok: Scope | undefined;
  readonly fail: Scope | undefined;
}

export type RunNode = (session: Session, node: SyntaxNode, scope: Scope) => Exit;

export interface Runner {
  readonly session: Session;
  readonly runNode: RunNode;
  /** Functions are not looked up, as under `command`. */
  readonly bare: boolean;
}

export interface Words {
  readonly words: readonly Field[];
  readonly stdin: string | undefined;
}
