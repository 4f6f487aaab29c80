import type { Assignment, Command, Redirection } from 'unbash';
import { arithmetic } from './arithmetic.ts';
import { dispatch } from './dispatch.ts';
import { governs } from './environment.ts';
import { expandValue, expandWord, visitNested } from './expand.ts';
import type { Field } from './field.ts';
import { textOf, unknownField } from './field.ts';
import { LIMITS } from './model.ts';
import { redirects, standardInput } from './redirects.ts';
import type { Exit, RunNode } from './runner.ts';
import type { Scope, Value } from './scope.ts';
import { join, UNKNOWN } from './scope.ts';
import type { Session } from './session.ts';

/** Evaluates a simple command: assignments, redirects and the program or function it names. */
export function runCommand(session: Session, node: Command, scope: Scope, runNode: RunNode): Exit {
  const fields = commandFields(session, scope, node);
  const list = node.redirects;
  const certain = redirects(session, scope, list);
  const before = certain ? undefined : scope.clone();
  const assigned = node.prefix.filter((part): part is Assignment => part.type === 'Assignment');
  let exit: Exit;
  if (fields.length === 0) {
    for (const assignment of assigned)
      session.assign(scope, assignment.name, assignedValue(session, scope, assignment));
    exit = { ok: scope, fail: scope };
  } else {
    assignTemporarily(session, scope, assigned, textOf(fields[0]));
    const stdin = needsInput(list) ? standardInput(session, scope, list) : undefined;
    exit = dispatch({ session, runNode, bare: false }, scope, { words: fields, stdin });
  }
  // A redirect that fails keeps the command from running.
  return before === undefined ? exit : { ok: exit.ok, fail: join(exit.fail, before) };
}

function needsInput(list: readonly Redirection[]): boolean {
  return list.some((redirect) => redirect.operator.startsWith('<<'));
}

function commandFields(session: Session, scope: Scope, node: Command): readonly Field[] {
  const words = node.name === undefined ? node.args : [node.name, ...node.args];
  const fields: Field[] = [];
  let length = 0;
  for (const word of words) {
    const expanded = word.type === 'Word' ? expandWord(session, scope, word) : [assignmentField(session, scope, word)];
    for (const field of expanded) length += field.text.length;
    if (fields.length + expanded.length > LIMITS.fieldsPerCommand || length > LIMITS.expansionLength) {
      session.flag('too_complex', 'too many words');
      break;
    }
    fields.push(...expanded);
  }
  return fields;
}

/** `declare F=a` as the word that the builtin gets. */
function assignmentField(session: Session, scope: Scope, node: Assignment): Field {
  const plain = node.index === undefined && !node.append && node.value.type === 'Word';
  const value = assignedValue(session, scope, node);
  const prefix = `${node.name}=`;
  if (plain && value.kind === 'text') return { text: prefix + value.text };
  return unknownField(value.kind === 'unknown' ? value.code : 'variable', node.text, prefix);
}

function assignedValue(session: Session, scope: Scope, node: Assignment): Value {
  if (node.index !== undefined) {
    visitNested(session, scope, node.index);
    arithmetic(session, scope, node.index.text);
  }
  const value = rightSide(session, scope, node);
  if (governs(node.name, value)) session.flag('environment', node.text);
  return value;
}

function rightSide(session: Session, scope: Scope, node: Assignment): Value {
  if (node.value.type === 'ArrayValue') {
    for (const element of node.value.elements) expandWord(session, scope, element);
    return UNKNOWN;
  }
  const value = expandValue(session, scope, node.value);
  if (node.index !== undefined) return UNKNOWN;
  if (!node.append) return value;
  const before = scope.lookup(node.name);
  if (before.kind !== 'text' || value.kind !== 'text') return UNKNOWN;
  const text = before.text + value.text;
  return text.length > LIMITS.commandLength ? UNKNOWN : { kind: 'text', text };
}

/** `F=a program`: the value may or may not stay, depending on the shell and on what is run. */
function assignTemporarily(session: Session, scope: Scope, list: readonly Assignment[], program?: string): void {
  for (const assignment of list) {
    const separatesRead = assignment.name === 'IFS' && program === 'read' && !scope.functions.has('read');
    if (separatesRead) visitNested(session, scope, assignment.value);
    else assignedValue(session, scope, assignment);
    if (!separatesRead) session.assign(scope, assignment.name, UNKNOWN);
  }
}
