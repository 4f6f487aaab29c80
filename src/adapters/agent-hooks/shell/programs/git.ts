import type { OptionSpec, ParsedArgs } from '../args.ts';
import { parseArgs, uncounted } from '../args.ts';
import type { Field } from '../field.ts';
import { baseName, literal, textOf, under } from '../field.ts';
import type { GitAction } from '../model.ts';
import type { Call, Handler, Outcome } from '../outcome.ts';
import { deletes, edits, flag } from '../outcome.ts';
import { GIT_OPTIONS, GIT_READS } from './git-options.ts';

/** One git subcommand with its options read; paths are relative to `directory`. */
interface Invocation {
  readonly kind: string;
  readonly args: ParsedArgs;
  readonly directory: Field;
  /** Operands after `--`; undefined if there was none. */
  readonly afterDashes: readonly Field[] | undefined;
}

type Subcommand = (git: Invocation) => readonly Outcome[];

const GLOBAL: OptionSpec = {
  flags: 'Pp',
  valued: 'Cc',
  long: ['no-pager', 'no-optional-locks', 'no-replace-objects', 'literal-pathspecs', 'paginate', 'no-advice'],
  stopAtOperand: true,
};
/** Settings that neither run anything nor move where git writes. */
const HARMLESS_SETTING =
  /^(user|color|advice|column|log|init|i18n|status|author|committer)\.|^core\.(quotepath|autocrlf|abbrev)=|^(commit|tag)\.gpgsign=(false|0)$|^diff\.(noprefix|renames|context|algorithm)|^core\.(pager|editor)=(cat|true|:)?$|^(merge|pull|push)\.(ff|rebase|default|autosetupremote)=/i;

const runGit: Handler = (call) => {
  const { operands, problems, values } = parseArgs(call, GLOBAL);
  const settings = values('c').flatMap((field) => {
    const text = textOf(field);
    return text !== undefined && HARMLESS_SETTING.test(text) ? [] : [flag('environment', `git -c ${field.text}`)];
  });
  const directory = values('C').reduce((outer, inner) => under(outer, inner), literal('.'));
  const [command, ...args] = operands;
  const kind = textOf(command);
  if (kind === undefined) {
    const unknown = command === undefined ? [] : [flag(command.unknown ?? 'glob', `git ${command.text}`)];
    return [...problems, ...settings, ...unknown];
  }
  return [
    ...problems,
    ...settings,
    ...runSubcommand({ name: `git ${kind}`, args, stdin: call.stdin }, kind, directory),
  ];
};

function runSubcommand(call: Call, kind: string, directory: Field): readonly Outcome[] {
  if (GIT_READS.has(kind)) return readOnly(call);
  const subcommand = SUBCOMMANDS.get(kind);
  const spec = GIT_OPTIONS.get(kind);
  // It may be an alias for anything.
  if (subcommand === undefined || spec === undefined) return [flag('unknown_writer', call.name)];
  const dashes = call.args.findIndex((arg) => textOf(arg) === '--');
  const args = parseArgs(call, spec);
  const afterDashes = dashes < 0 ? undefined : call.args.slice(dashes + 1);
  return [...args.problems, ...subcommand({ kind, args, directory, afterDashes })];
}

/** Options of reading subcommands that write a file or run a program. */
function readOnly(call: Call): Outcome[] {
  return call.args.flatMap((arg): Outcome[] => {
    if (arg.loose) return [flag(arg.unknown!, `${call.name} ${arg.text}`)];
    const text = arg.unknown === undefined ? arg.text : (arg.prefix ?? '');
    const writes = /^--(out|ext-d|textconv|open-f|exec|upload|no-index-w)|^-O/.test(text);
    // git accepts every unambiguous beginning of a long option.
    const shortened = /^--(o|ou|e|ex|ext|op|t|te|tex)$/.test(text);
    return writes || shortened ? [flag('unknown_writer', `${call.name} ${text}`)] : [];
  });
}

function action(git: Invocation, more: Omit<GitAction, 'kind' | 'directory'> = {}): Outcome {
  return { do: 'git', action: { kind: git.kind, ...more }, directory: git.directory };
}

function texts(fields: readonly Field[]): readonly string[] {
  return fields.map((field) => field.text);
}

/** A pathspec names a file or everything below it; git's own wildcards cross slashes, so they are flagged. */
function pathspecs(git: Invocation, fields: readonly Field[], kind: 'edit' | 'delete'): Outcome[] {
  const by = `git ${git.kind}`;
  return fields.flatMap((field): Outcome[] => {
    if (
      field.unknown === undefined &&
      (field.text.startsWith(':') || (field.pattern === undefined && /[*?[\\]/.test(field.text)))
    ) {
      return [flag('glob', `${by} ${field.text}`)];
    }
    const target = under(git.directory, field);
    return kind === 'edit' ? edits([target], by, true) : deletes([target], by, true);
  });
}

function worktree(git: Invocation): Outcome {
  return flag('worktree', `git ${git.kind} ${texts(git.args.operands).join(' ')}`.trim());
}

/** Changes refs, the index or the object store only. */
const refsOnly: Subcommand = (git) => [action(git)];

const commit: Subcommand = (git) => {
  const { operands } = git.args;
  return [action(git, operands.length > 0 ? { paths: texts(operands) } : {})];
};

const add: Subcommand = (git) => [action(git, { paths: texts(git.args.operands) })];

const push: Subcommand = (git) => {
  const [remote, ...refspecs] = texts(git.args.operands);
  const forced =
    git.args.has('f', 'force', 'force-with-lease', 'force-if-includes', 'mirror', 'delete', 'd', 'prune') ||
    refspecs.some((refspec) => /^[+:]/.test(refspec));
  return [
    action(git, {
      ...(remote === undefined ? {} : { remote }),
      ...(refspecs.length === 0 ? {} : { refspecs }),
      ...(forced ? { force: true as const } : {}),
    }),
    ...git.args.operands
      .filter((field) => field.unknown !== undefined)
      .map((field) => flag(field.unknown!, `git push ${field.text}`)),
  ];
};

/** Rewrites the worktree as a whole, unless one of the options says that it does not. */
function wholeTree(...harmless: readonly string[]): Subcommand {
  return (git) => [action(git), ...(git.args.has(...harmless) ? [] : [worktree(git)])];
}

const checkout: Subcommand = (git) => {
  const { args, afterDashes } = git;
  const creates = args.has('b', 'B', 'orphan', 'c', 'C', 'create', 'force-create');
  if (afterDashes !== undefined && git.kind === 'checkout') {
    return [action(git, { paths: texts(afterDashes) }), ...pathspecs(git, afterDashes, 'edit')];
  }
  const start = args.operands.length;
  if (creates && start === 0 && !args.has('orphan')) return [action(git)];
  // A word may be a branch or a path; a second one can only be a path.
  const paths = git.kind === 'checkout' && !creates ? args.operands.slice(start > 1 ? 1 : 0) : [];
  return [action(git), worktree(git), ...pathspecs(git, start > 1 || textOf(paths[0]) === '.' ? paths : [], 'edit')];
};

const restore: Subcommand = (git) => {
  const { args } = git;
  const indexOnly = args.has('S', 'staged') && !args.has('W', 'worktree');
  const fromFile = args.has('pathspec-from-file') ? [flag('stdin', 'git restore --pathspec-from-file')] : [];
  const written = indexOnly ? [] : pathspecs(git, args.operands, 'edit');
  return [action(git, { paths: texts(args.operands) }), ...fromFile, ...written];
};

const reset: Subcommand = (git) => {
  const rewrites = git.args.has('hard', 'merge', 'keep');
  return [action(git, rewrites ? { force: true } : {}), ...(rewrites ? [worktree(git)] : [])];
};

const clean: Subcommand = (git) => {
  const { args } = git;
  if (args.has('n', 'dry-run')) return [];
  const below = args.operands.length === 0 ? [git.directory] : args.operands;
  return [action(git), worktree(git), ...(args.operands.length === 0 ? [] : pathspecs(git, below, 'delete'))];
};

const rm: Subcommand = (git) => {
  const { args } = git;
  const kept = args.has('cached', 'n', 'dry-run');
  const fromFile = args.has('pathspec-from-file') ? [flag('stdin', 'git rm --pathspec-from-file')] : [];
  return [
    action(git, { paths: texts(args.operands) }),
    ...fromFile,
    ...(kept ? [] : pathspecs(git, args.operands, 'delete')),
  ];
};

const mv: Subcommand = (git) => {
  const { operands } = git.args;
  if (git.args.has('n', 'dry-run')) return [];
  const target = operands.at(-1);
  const sources = operands.slice(0, -1);
  const problems = uncounted({ name: 'git mv', args: [], stdin: undefined }, operands.slice(-1));
  if (target === undefined) return [action(git)];
  const inside = sources.map((source) => under(target, baseName(source) ?? literal('.')));
  const landing = [target, ...inside].map((field) => under(git.directory, field));
  return [
    action(git, { paths: texts(operands) }),
    ...problems,
    ...deletes(
      sources.map((field) => under(git.directory, field)),
      'git mv',
      true,
    ),
    ...edits(landing, 'git mv', true),
  ];
};

const stash: Subcommand = (git) => {
  const verb = textOf(git.args.operands[0]);
  if (verb === 'list' || verb === 'show') return [];
  return [
    action(git),
    ...(verb === 'drop' || verb === 'clear' || verb === 'create' || verb === 'store' ? [] : [worktree(git)]),
  ];
};

/** Reads unless it is told a verb that writes. */
const config: Subcommand = (git) => {
  const verb = textOf(git.args.operands[0]);
  const asks = git.args.has('get', 'get-all', 'get-regexp', 'list', 'l') || verb === 'get' || verb === 'list';
  return asks || git.args.operands.length === 1
    ? []
    : [action(git), flag('environment', `git config ${texts(git.args.operands).join(' ')}`)];
};

const worktrees: Subcommand = (git) => {
  const [verb, place] = git.args.operands;
  if (textOf(verb) === 'list') return [];
  const known = textOf(verb) === 'add' && place !== undefined && textOf(place) !== undefined;
  return [action(git), ...(known ? edits([under(git.directory, place)], 'git worktree add', true) : [worktree(git)])];
};

const clone: Subcommand = (git) => {
  const [url, place] = git.args.operands;
  const problems = uncounted({ name: 'git clone', args: [], stdin: undefined }, git.args.operands);
  const name =
    url === undefined
      ? undefined
      : textOf(url)
          ?.replace(/\/+$/, '')
          .replace(/\.git$/, '');
  const target = place ?? (name === undefined ? undefined : baseName(literal(name.replaceAll(':', '/'))));
  if (target === undefined) return [action(git), ...problems, flag('variable', 'git clone')];
  return [action(git), ...problems, ...edits([under(git.directory, target)], 'git clone', true)];
};

const archive: Subcommand = (git) =>
  edits(
    git.args.values('o', 'output').map((field) => under(git.directory, field)),
    'git archive',
  );

const SUBCOMMANDS: ReadonlyMap<string, Subcommand> = new Map<string, Subcommand>([
  ['commit', commit],
  ['add', add],
  ['stage', add],
  ['push', push],
  ['fetch', refsOnly],
  ['branch', refsOnly],
  ['tag', refsOnly],
  ['remote', refsOnly],
  ['init', refsOnly],
  ['gc', refsOnly],
  ['notes', refsOnly],
  ['update-ref', refsOnly],
  ['checkout', checkout],
  ['switch', checkout],
  ['restore', restore],
  ['reset', reset],
  ['clean', clean],
  ['rm', rm],
  ['mv', mv],
  ['stash', stash],
  ['apply', wholeTree('check', 'stat', 'numstat', 'summary', 'cached')],
  ['am', wholeTree('show-current-patch')],
  ['rebase', wholeTree()],
  ['merge', wholeTree()],
  ['pull', wholeTree()],
  ['cherry-pick', wholeTree()],
  ['revert', wholeTree()],
  ['config', config],
  ['worktree', worktrees],
  ['clone', clone],
  ['archive', archive],
]);

export const GIT: ReadonlyArray<readonly [string, Handler]> = [['git', runGit]];
