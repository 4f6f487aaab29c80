import { parse } from 'unbash';
import { BUILTINS } from './builtins.ts';
import type { Field } from './field.ts';
import { textOf } from './field.ts';
import type { GitAction } from './model.ts';
import { LIMITS } from './model.ts';
import type { Outcome } from './outcome.ts';
import { PROGRAMS } from './programs/index.ts';
import type { Exit, Runner, Words } from './runner.ts';
import { forget, join, Scope, UNKNOWN } from './scope.ts';
import type { Session } from './session.ts';
import { resolveDirectories, settleWrite } from './settle.ts';

/** The directories whose programs are what their names say. */
const PROGRAM_DIRECTORY = /^\/(usr\/(local\/)?|opt\/homebrew\/)?s?bin\/([^/]+)$/;

/** Runs a function, a builtin or a program, in this order as bash does. */
export function dispatch(runner: Runner, scope: Scope, { words, stdin }: Words): Exit {
  const { session } = runner;
  const here: Exit = { ok: scope, fail: scope };
  const [first, ...args] = words;
  const name = textOf(first);
  if (name === undefined) {
    if (first !== undefined) session.flag(first.unknown ?? 'glob', `program ${first.text}`);
    return here;
  }
  if (!runner.bare && scope.functions.has(name)) return callFunction(runner, scope, name, args);
  const builtin = BUILTINS.get(name);
  if (builtin !== undefined) {
    session.command(name);
    const exit = builtin({ ...runner, scope, name, args, stdin, dispatch, runText });
    if (exit !== undefined) return exit;
  }
  runProgram(runner, scope, { words, stdin });
  return here;
}

/** Runs a program that is not of the shell, and whatever it runs in turn. */
function runProgram(runner: Runner, scope: Scope, { words, stdin }: Words): void {
  const { session } = runner;
  const [first, ...args] = words;
  const path = textOf(first);
  if (path === undefined) {
    if (first !== undefined) session.flag(first.unknown ?? 'glob', `program ${first.text}`);
    return;
  }
  if (path === '') return;
  const name = PROGRAM_DIRECTORY.exec(path)?.[3] ?? path;
  session.command(name);
  const handler = PROGRAMS.get(name);
  if (name.includes('/')) session.flag('interpreter', name);
  else if (handler === undefined) session.flag('unknown_writer', name);
  else for (const outcome of handler({ name, args, stdin })) settle(runner, scope, outcome);
}

function settle(runner: Runner, scope: Scope, outcome: Outcome): void {
  const { session } = runner;
  switch (outcome.do) {
    case 'edit':
    case 'delete':
      return settleWrite(session, scope, outcome);
    case 'flag':
      return session.flag(outcome.code, outcome.detail);
    case 'run':
      return session.nested(() => {
        session.step();
        const started = scope.clone();
        if (outcome.directory !== undefined) started.directories = resolveDirectories(scope, outcome.directory);
        runProgram(runner, started, { words: outcome.words, stdin: undefined });
      });
    case 'script':
      return runChildShell(runner, scope, outcome.text, outcome.positional);
    case 'git':
      return settleGit(session, scope, outcome.action, outcome.directory);
  }
}

function settleGit(session: Session, scope: Scope, action: Omit<GitAction, 'directory'>, directory: Field): void {
  const directories = resolveDirectories(scope, directory);
  if (directories === undefined) session.flag(directory.unknown ?? 'dynamic_cd', `git ${action.kind}`);
  for (const place of directories ?? [null]) session.gitAction({ ...action, directory: place });
}

/** `sh -c text`: a new shell that inherits the directory and, of what is known here, only HOME. */
function runChildShell(runner: Runner, scope: Scope, text: string, positional: readonly Field[]): void {
  const child = new Scope(scope.directories);
  child.variables.set('HOME', scope.lookup('HOME'));
  child.positional = positional;
  const { session } = runner;
  const { calls } = session;
  session.calls = [];
  session.nested(() => {
    runText(runner, child, text);
  });
  session.calls = calls;
}

/** Parses and evaluates a text as commands of the shell that `scope` is of. */
function runText(runner: Runner, scope: Scope, text: string): Exit {
  const { session, runNode } = runner;
  if (text.length > LIMITS.commandLength) {
    session.flag('too_long', 'script');
    return { ok: scope, fail: scope };
  }
  session.step(text.length);
  const script = parse(text);
  if (script.errors !== undefined && script.errors.length > 0) session.flag('unparseable', script.errors[0]!.message);
  const { commands, pos, end } = script;
  return runNode(session, { type: 'CompoundList', pos, end, commands }, scope);
}

function callFunction(runner: Runner, scope: Scope, name: string, args: readonly Field[]): Exit {
  const { session, runNode } = runner;
  const definition = scope.functions.get(name);
  const here: Exit = { ok: scope, fail: scope };
  if (definition === undefined || session.calls.includes(name)) {
    session.flag(definition === undefined ? 'eval' : 'too_complex', `function ${name}`);
    return here;
  }
  const { positional } = scope;
  scope.positional = args.some((arg) => arg.loose) ? undefined : args;
  let exit = here;
  session.calls.push(name);
  const trace = session.traced(false, () => {
    session.nested(() => {
      exit = runNode(session, definition.body, scope);
    });
  });
  session.calls.pop();
  const leave = (state: Scope | undefined): Scope | undefined => {
    if (state === undefined) return undefined;
    if (trace.jumped) forget(state, trace);
    for (const local of trace.locals) state.assign(local, UNKNOWN);
    state.positional = positional;
    return state;
  };
  // A `return` may end it in a state that the end of the body never reaches.
  if (!trace.jumped) return { ok: leave(exit.ok), fail: leave(exit.fail) };
  const after = leave(join(scope, join(exit.ok, exit.fail)));
  return { ok: after, fail: after };
}
