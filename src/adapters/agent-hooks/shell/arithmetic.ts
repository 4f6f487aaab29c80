import type { Scope, Value } from './scope.ts';
import { isInteger, UNKNOWN } from './scope.ts';
import type { Session } from './session.ts';

const NAME = /[A-Za-z_]\w*/g;

/**
 * Judges the text of an arithmetic expression. Bash evaluates the value of a variable in it as an expression again,
 * and a subscript in that value may hold a command substitution: so only names known to be numbers pass unflagged.
 */
export function arithmetic(session: Session, scope: Scope, text: string): Value {
  const names = text.replace(/\b(0[xX][\da-fA-F]+|\d+)\b/g, '').match(NAME) ?? [];
  const assigns = /\+\+|--|(?:^|[^=<>!])=(?:[^=]|$)|<<=|>>=/.test(text);
  const targets = new Set(assigns ? names : []);
  const plain = !/[[`'"\\]|\$\(|\$\{[^#]|\$[0-9@*{!-]/.test(text.replaceAll('${#', '$#{'));
  const numbers = names.every((name) => isInteger(scope.lookup(name)) || isPlainTarget(text, name));
  const safe = plain && numbers;
  if (!safe) session.flag('arithmetic', text.trim());
  for (const name of targets) session.assign(scope, name, safe ? { kind: 'integer' } : UNKNOWN);
  return safe ? { kind: 'integer' } : UNKNOWN;
}

/** `i = …` at the start only writes `i`; its old value is not evaluated. */
function isPlainTarget(text: string, name: string): boolean {
  return new RegExp(`^\\s*${name}\\s*=[^=]`).test(text) && text.match(new RegExp(`\\b${name}\\b`, 'g'))?.length === 1;
}
