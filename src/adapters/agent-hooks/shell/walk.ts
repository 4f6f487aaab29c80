import type {
  AndOr,
  Case,
  CompoundList,
  For,
  If,
  Pipeline,
  Redirected,
  Script,
  Statement,
  SyntaxNode,
  TestExpression,
  While,
} from 'unbash';
import { forEachChild } from 'unbash';
import { arithmetic } from './arithmetic.ts';
import { runCommand } from './command.ts';
import { expandWord, visitNested } from './expand.ts';
import type { Field } from './field.ts';
import { LIMITS } from './model.ts';
import { redirects } from './redirects.ts';
import type { Exit } from './runner.ts';
import type { Scope, Value } from './scope.ts';
import { forget, isInteger, join, UNKNOWN } from './scope.ts';
import type { Session } from './session.ts';

/** Evaluates a script in a shell of its own: what it changes in that shell is forgotten. */
export function runNested(
  session: Session,
  script: Script & { errors?: readonly { message: string }[] | undefined },
  scope: Scope,
): void {
  if (script.errors !== undefined && script.errors.length > 0) session.flag('unparseable', script.errors[0]!.message);
  session.nested(() => {
    runStatements(session, script.commands, scope.clone());
  });
}

function runStatements(session: Session, statements: readonly Statement[], scope: Scope): Exit {
  let exit: Exit = { ok: scope, fail: scope };
  for (const statement of statements) {
    const current = join(exit.ok, exit.fail);
    if (current === undefined) break;
    exit = runStatement(session, statement, current);
  }
  return exit;
}

function runStatement(session: Session, statement: Statement, scope: Scope): Exit {
  if (!statement.background) return runNode(session, statement.command, scope);
  session.flag('background', '&');
  runNode(session, statement.command, scope.clone());
  return { ok: scope, fail: scope };
}

/** Evaluates one command in a scope, which may be changed; the answer's two scopes may be the same. */
function runNode(session: Session, node: SyntaxNode, scope: Scope): Exit {
  session.step();
  switch (node.type) {
    case 'Command':
      return runCommand(session, node, scope, runNode);
    case 'AndOr':
      return runAndOr(session, node, scope);
    case 'Pipeline':
      return runPipeline(session, node, scope);
    case 'Redirected':
      return runRedirected(session, node, scope);
    case 'CompoundList':
      return runStatements(session, node.commands, scope);
    case 'BraceGroup':
      return runStatements(session, node.body.commands, scope);
    case 'Subshell':
      runStatements(session, node.body.commands, scope.clone());
      return { ok: scope, fail: scope };
    case 'If':
      return runIf(session, node, scope);
    case 'While':
      return runLoop(session, scope, node, [], undefined);
    case 'For':
      return runFor(session, node, scope);
    case 'Select':
      return runLoop(session, scope, node, [node.name.text], undefined);
    case 'Case':
      return runCase(session, node, scope);
    case 'Function':
      session.note((trace) => trace.functions.add(node.name.value));
      scope.functions.set(node.name.value, node);
      return { ok: scope, fail: scope };
    default:
      return runRare(session, node, scope);
  }
}

function runRare(session: Session, node: SyntaxNode, scope: Scope): Exit {
  if (node.type === 'ArithmeticFor') {
    for (const part of [node.initialize, node.test, node.update]) if (part) visitNested(session, scope, part);
    session.flag('arithmetic', 'for ((…))');
    return runLoop(session, scope, node, [], undefined);
  }
  if (node.type === 'ArithmeticCommand') {
    forEachChild(node, (child) => visitNested(session, scope, child));
    arithmetic(session, scope, node.body);
  } else if (node.type === 'TestCommand') judgeTest(session, scope, node.expression);
  else if (node.type === 'Coproc') {
    session.flag('background', 'coproc');
    runNode(session, node.body, scope.clone());
  } else session.flag('unparseable', node.type);
  return { ok: scope, fail: scope };
}

/** `[[ a -eq b ]]` evaluates both sides as arithmetic, `-v` a subscript; the rest only compares. */
function judgeTest(session: Session, scope: Scope, test: TestExpression): void {
  if (test.type === 'TestUnary') {
    visitNested(session, scope, test.operand);
    if (test.operator === '-v' || test.operator === '-R') arithmetic(session, scope, test.operand.text);
  } else if (test.type === 'TestBinary') {
    const numeric = /^-(eq|ne|lt|le|gt|ge)$/.test(test.operator);
    for (const word of [test.left, test.right]) {
      visitNested(session, scope, word);
      if (numeric) arithmetic(session, scope, word.text.replaceAll('"', ''));
    }
  } else if (test.type === 'TestLogical') for (const operand of test.operands) judgeTest(session, scope, operand);
  else if (test.type === 'TestNot') judgeTest(session, scope, test.operand);
  else judgeTest(session, scope, test.expression);
}

function runAndOr(session: Session, node: AndOr, scope: Scope): Exit {
  let exit = runNode(session, node.commands[0]!, scope);
  for (const [at, operator] of node.operators.entries()) {
    const from = operator === '&&' ? exit.ok : exit.fail;
    const skipped = operator === '&&' ? exit.fail : exit.ok;
    if (from === undefined) continue;
    const next = runNode(session, node.commands[at + 1]!, from === skipped ? from.clone() : from);
    exit =
      operator === '&&'
        ? { ok: next.ok, fail: join(skipped, next.fail) }
        : { ok: join(skipped, next.ok), fail: next.fail };
  }
  return exit;
}

/** Every part of a pipeline has a shell of its own, except the last one in zsh and under `lastpipe`. */
function runPipeline(session: Session, node: Pipeline, scope: Scope): Exit {
  const negated = node.prefixes.filter((prefix) => prefix.type === 'Negation').length % 2 === 1;
  if (node.commands.length === 1) {
    const { ok, fail } = runNode(session, node.commands[0]!, scope);
    return negated ? { ok: fail, fail: ok } : { ok, fail };
  }
  let last: Exit = { ok: scope, fail: scope };
  for (const command of node.commands) last = runNode(session, command, scope.clone());
  const after = join(scope, join(last.ok, last.fail));
  return { ok: after, fail: after };
}

function runRedirected(session: Session, node: Redirected, scope: Scope): Exit {
  const before = scope.clone();
  const certain = redirects(session, scope, node.redirects);
  const { ok, fail } = runNode(session, node.command, scope);
  // A redirect that fails keeps the command from running.
  return { ok, fail: certain ? fail : join(fail, before) };
}

function runIf(session: Session, node: If, scope: Scope): Exit {
  let after: Scope | undefined;
  let rest: Scope | undefined = scope;
  for (const branch of [node, ...node.elif]) {
    if (rest === undefined) break;
    const clause = runNode(session, branch.clause, rest);
    if (clause.ok !== undefined) {
      const start = clause.ok === clause.fail ? clause.ok.clone() : clause.ok;
      const end = runNode(session, branch.then, start);
      after = join(after, join(end.ok, end.fail));
    }
    rest = clause.fail;
  }
  if (rest !== undefined && node.else !== undefined) {
    const end = runNode(session, node.else, rest);
    rest = join(end.ok, end.fail);
  }
  const joined = join(after, rest);
  return { ok: joined, fail: joined };
}

function runCase(session: Session, node: Case, scope: Scope): Exit {
  visitNested(session, scope, node.word);
  let after: Scope | undefined = scope.clone();
  let fallen: Scope | undefined;
  for (const item of node.items) {
    for (const pattern of item.pattern) visitNested(session, scope, pattern);
    const start = join(scope.clone(), fallen);
    const end = start === undefined ? { ok: undefined, fail: undefined } : runNode(session, item.body, start);
    const state = join(end.ok, end.fail);
    fallen = item.terminator === ';&' || item.terminator === ';;&' ? state?.clone() : undefined;
    after = join(after, state);
  }
  return { ok: after, fail: after };
}

type Loop = { readonly body: CompoundList; readonly clause?: CompoundList };

/**
 * Evaluates a loop that turns any number of times. A first, silent pass learns what a turn changes; all of that is
 * forgotten before the pass that counts, which then holds for every turn.
 */
function runLoop(
  session: Session,
  scope: Scope,
  node: Loop | While,
  names: readonly string[],
  value: Value | undefined,
): Exit {
  const turn = (start: Scope): Scope | undefined => {
    for (const name of names) session.assign(start, name, value ?? UNKNOWN);
    const clause = node.clause === undefined ? undefined : runNode(session, node.clause, start);
    const body = clause === undefined ? start : clause.ok === clause.fail ? clause.ok?.clone() : clause.ok;
    const end = body === undefined ? undefined : runNode(session, node.body, body);
    return join(clause?.fail, join(end?.ok, end?.fail));
  };
  const trace = session.traced(true, () => turn(scope.clone()));
  forget(scope, trace);
  const after = join(scope.clone(), turn(scope.clone())) ?? scope;
  forget(after, trace);
  return { ok: after, fail: after };
}

function runFor(session: Session, node: For, scope: Scope): Exit {
  const name = node.name.value;
  const fields: readonly Field[] | undefined =
    node.wordlist === undefined ? scope.positional : node.wordlist.flatMap((word) => expandWord(session, scope, word));
  const values = fields?.map(loopValue);
  if (values === undefined) return runLoop(session, scope, node, [name], UNKNOWN);
  const exact = values.every((value) => value.kind === 'text' || value.kind === 'pattern');
  if (!exact || values.length > LIMITS.loopTurns) {
    const unknown = values.find((value) => value.kind === 'unknown') ?? UNKNOWN;
    return runLoop(session, scope, node, [name], values.every(isInteger) ? { kind: 'integer' } : unknown);
  }
  const trace = session.traced(true, () => {
    const start = scope.clone();
    session.assign(start, name, values[0] ?? UNKNOWN);
    runNode(session, node.body, start);
  });
  let after: Scope | undefined = scope;
  for (const value of values) {
    // A wildcard stands for any number of turns, and a jump may have left any turn early.
    if (trace.jumped || value.kind === 'pattern') forget(after, trace);
    const before: Scope = after.clone();
    session.assign(after, name, value);
    const end: Exit = runNode(session, node.body, after);
    after = join(end.ok, end.fail);
    if (value.kind === 'pattern' || trace.jumped) after = join(after, before);
    if (after === undefined) return { ok: undefined, fail: undefined };
    if (trace.jumped) forget(after, trace);
  }
  return { ok: after, fail: after };
}

function loopValue(field: Field): Value {
  if (field.unknown !== undefined) return { kind: 'unknown', code: field.unknown };
  if (field.pattern !== undefined) return { kind: 'pattern', text: field.text, pattern: field.pattern };
  return { kind: 'text', text: field.text };
}
