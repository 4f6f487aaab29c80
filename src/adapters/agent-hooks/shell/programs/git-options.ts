import type { OptionSpec } from '../args.ts';

/** Subcommands that read, whatever their arguments; a few options are checked apart. */
export const GIT_READS: ReadonlySet<string> = new Set(
  [
    'status diff log show blame annotate grep shortlog describe rev-parse rev-list ls-files ls-tree ls-remote cat-file',
    'show-ref for-each-ref merge-base name-rev whatchanged diff-tree diff-index diff-files count-objects fsck verify-commit',
    'check-ignore check-attr var version help range-diff cherry symbolic-ref hash-object --version --help',
  ]
    .join(' ')
    .split(' '),
);

function spec(
  flags: string,
  valued: string,
  long: string,
  longValued: string,
  longAttached = '',
  attached = '',
): OptionSpec {
  const words = (text: string): string[] => text.split(' ').filter((word) => word !== '');
  return {
    flags,
    valued,
    attached,
    long: words(long),
    longValued: words(longValued),
    longAttached: words(longAttached),
  };
}

const COMMON = 'quiet verbose no-verify verify dry-run progress no-progress';

/** The options of each writing subcommand that do not change where it writes. Anything else is flagged. */
export const GIT_OPTIONS: ReadonlyMap<string, OptionSpec> = new Map([
  [
    'commit',
    spec(
      'aqvnsepioz',
      'mFCct',
      `all amend no-edit edit allow-empty allow-empty-message signoff no-signoff no-gpg-sign reset-author only include short branch porcelain long no-status status no-post-rewrite ${COMMON}`,
      'message file reuse-message reedit-message fixup squash author date cleanup trailer template pathspec-from-file',
      'gpg-sign untracked-files',
      'Su',
    ),
  ],
  [
    'add',
    spec(
      'AunvfNpie',
      '',
      `all update force intent-to-add patch interactive no-all ignore-errors refresh renormalize ${COMMON}`,
      'chmod',
    ),
  ],
  ['stage', spec('AunvfN', '', `all update force ${COMMON}`, '')],
  [
    'push',
    spec(
      'fudnqv46',
      'o',
      `force set-upstream tags follow-tags all mirror delete prune atomic no-thin thin force-if-includes porcelain ${COMMON}`,
      'push-option repo',
      'force-with-lease signed recurse-submodules',
    ),
  ],
  [
    'fetch',
    spec(
      'aptnqvfmPjk46',
      'o',
      `all prune prune-tags tags no-tags force multiple append unshallow keep ${COMMON}`,
      'depth deepen shallow-since shallow-exclude jobs filter refmap',
      'recurse-submodules',
    ),
  ],
  [
    'branch',
    spec(
      'aDdfilmMcCqrvV',
      'u',
      `all delete force list move copy remotes show-current ignore-case no-track unset-upstream no-color verbose quiet`,
      'set-upstream-to contains no-contains sort points-at format',
      'merged no-merged track color column abbrev',
      't',
    ),
  ],
  [
    'tag',
    spec(
      'adflsn',
      'mFu',
      'annotate delete force list sign no-sign verify',
      'message file local-user sort contains points-at format cleanup',
      'merged no-merged column color',
    ),
  ],
  ['remote', spec('v', 'tm', 'verbose', '')],
  ['init', spec('q', 'b', 'quiet bare', 'initial-branch object-format', 'shared')],
  ['gc', spec('q', '', 'quiet auto aggressive force no-prune', '', 'prune')],
  ['notes', spec('f', 'mF', 'force', 'message file ref')],
  ['update-ref', spec('dz', 'm', 'no-deref create-reflog', '')],
  [
    'checkout',
    spec(
      'fqmlpd',
      'bB',
      `force merge detach no-track ours theirs guess no-guess overlay no-overlay patch ignore-skip-worktree-bits ${COMMON}`,
      'orphan conflict',
      'track',
      't',
    ),
  ],
  [
    'switch',
    spec(
      'dfmq',
      'cC',
      `detach force discard-changes merge guess no-guess no-track ${COMMON}`,
      'create force-create orphan conflict',
      'track',
      't',
    ),
  ],
  [
    'restore',
    spec(
      'SWqpm',
      's',
      `staged worktree ours theirs merge overlay no-overlay patch ignore-unmerged ${COMMON}`,
      'source conflict pathspec-from-file',
    ),
  ],
  [
    'reset',
    spec(
      'qNp',
      '',
      `hard soft mixed merge keep no-refresh refresh patch intent-to-add ${COMMON}`,
      'pathspec-from-file',
    ),
  ],
  ['clean', spec('dfnqxXi', 'e', 'force dry-run quiet interactive', 'exclude')],
  ['rm', spec('frnq', '', 'cached force dry-run quiet ignore-unmatch sparse', 'pathspec-from-file')],
  ['mv', spec('fknv', '', 'force dry-run verbose sparse', '')],
  [
    'stash',
    spec(
      'ukaqpS',
      'm',
      'include-untracked no-include-untracked keep-index no-keep-index all quiet index patch staged',
      'message',
    ),
  ],
  [
    'apply',
    spec(
      'RNvz3',
      'pC',
      'check stat numstat summary cached index reverse 3way verbose recount allow-empty unidiff-zero ignore-whitespace inaccurate-eof reject intent-to-add',
      'include exclude whitespace directory',
    ),
  ],
  [
    'am',
    spec('3iksq', 'p', 'continue skip abort quit show-current-patch 3way signoff keep quiet', 'whitespace directory'),
  ],
  [
    'rebase',
    spec(
      'imqvfr',
      '',
      'continue abort skip quit autosquash no-autosquash autostash no-autostash interactive root merge keep-base fork-point no-ff update-refs stat no-stat edit-todo',
      'onto',
      'rebase-merges empty',
    ),
  ],
  [
    'merge',
    spec(
      'nqve',
      'mXsF',
      `abort continue quit no-ff ff ff-only squash no-squash no-commit commit edit no-edit stat no-stat allow-unrelated-histories signoff autostash no-autostash ${COMMON}`,
      'message strategy strategy-option into-name',
      'log',
    ),
  ],
  [
    'pull',
    spec(
      'qvnfapt',
      'Xs',
      `ff-only no-ff ff no-rebase all tags prune force autostash no-autostash squash no-edit edit no-commit commit allow-unrelated-histories ${COMMON}`,
      'strategy strategy-option depth',
      'rebase',
      'r',
    ),
  ],
  [
    'cherry-pick',
    spec(
      'nxse',
      'mX',
      'continue abort skip quit no-commit signoff ff edit no-edit allow-empty keep-redundant-commits',
      'mainline strategy strategy-option',
    ),
  ],
  [
    'revert',
    spec('nse', 'mX', 'continue abort skip quit no-commit no-edit edit signoff', 'mainline strategy strategy-option'),
  ],
  [
    'config',
    spec(
      'lz',
      '',
      'get get-all get-regexp list global local system worktree show-origin show-scope null name-only unset unset-all add replace-all',
      'type default',
      '',
    ),
  ],
  [
    'worktree',
    spec('fdvz', 'bB', 'force detach checkout no-checkout verbose porcelain no-track quiet expire lock', 'reason'),
  ],
  [
    'clone',
    spec(
      'qvn',
      'bo',
      'quiet verbose bare mirror single-branch no-single-branch no-checkout no-tags progress sparse no-hardlinks',
      'branch depth origin filter shallow-since jobs',
      'recurse-submodules recursive',
    ),
  ],
  ['archive', spec('v', 'o', 'verbose', 'format prefix output')],
]);
